// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/tensor.hpp>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

namespace zoqat::testing {

/// A tensor source that lies in memory.
struct memory_source {
  model_shape shape_;
  std::vector<io::tensor_view> tensors;
  std::filesystem::path path_ = "the/file";

  [[nodiscard]] const model_shape& shape() const { return shape_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const io::tensor_view* find(std::string_view name) const {
    const auto found = std::ranges::find(tensors, name, &io::tensor_view::name);
    return found == tensors.end() ? nullptr : &*found;
  }
};

}  // namespace zoqat::testing

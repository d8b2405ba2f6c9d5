// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/tensor.hpp>

#include <span>
#include <string_view>
#include <unordered_map>

namespace zoqat::inline ZOQAT_ABI::io {

/// Finds tensors by name. It refers to views that live elsewhere and must stay where they are: moving the
/// vector that holds them is fine, growing or copying it is not.
class tensor_index {
 public:
  tensor_index() = default;
  explicit tensor_index(std::span<const tensor_view> tensors) {
    views_.reserve(tensors.size());
    for (const tensor_view& tensor : tensors) add(tensor);
  }

  /// False, and no change, when there is a tensor of that name already.
  bool add(const tensor_view& tensor) { return views_.emplace(tensor.name, &tensor).second; }

  /// The tensor of that name, or null.
  [[nodiscard]] const tensor_view* find(std::string_view name) const {
    const auto found = views_.find(name);
    return found == views_.end() ? nullptr : found->second;
  }

 private:
  std::unordered_map<std::string_view, const tensor_view*> views_;
};

}  // namespace zoqat::io

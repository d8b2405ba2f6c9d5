// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/model_source.hpp>  // model_source

#include <filesystem>

namespace zoqat::programs {

/// Opens a base model as io::open_model does, which is compiled once for all schemes. With `ignore_unused`, tensors
/// that the model does not use are no error.
[[nodiscard]] io::model_source open_base_model(const std::filesystem::path& path, bool ignore_unused = false);

}  // namespace zoqat::programs

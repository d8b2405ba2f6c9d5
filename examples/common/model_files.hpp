// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/model_source.hpp>  // model_source

#include <filesystem>

/// The files of base models. What reads them is compiled once for all schemes.
namespace zoqat::programs {

[[nodiscard]] io::model_source open_base_model(const std::filesystem::path& path);

/// Where the files beside a model lie: in its own folder, or in the one that its file is in.
[[nodiscard]] std::filesystem::path folder_of_model(const std::filesystem::path& model);

}  // namespace zoqat::programs

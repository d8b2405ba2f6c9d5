// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

namespace zoqat::programs {

/// What is in a file or folder, as lines for people: a base model of any format, a trained model, a run log, or the
/// tokenizer beside a model. Throws io_error for what is none of these.
[[nodiscard]] std::string info_of(const std::filesystem::path& path);

/// The version of the library.
[[nodiscard]] std::string version_text();

}  // namespace zoqat::programs

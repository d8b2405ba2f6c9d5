// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

namespace zoqat::programs {

/// Says of each file, a run log or a quantized model, whether it is whole, and what it is. Returns what the program
/// returns: 0 where all are.
[[nodiscard]] int verify_files(std::span<const std::string> files);

}  // namespace zoqat::programs

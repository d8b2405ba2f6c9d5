// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <fnmatch.h>

#include <string>

namespace zoqat::inline ZOQAT_ABI {

/// Whether all of a tensor's name matches a pattern of the shell, as "layers.3.*" or "*.w[qv]": * stands for any
/// characters, ? for one, [..] for one of some.
[[nodiscard]] inline bool matches_pattern(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

}  // namespace zoqat

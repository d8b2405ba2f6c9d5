// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace zoqat::inline ZOQAT_ABI {

/// Base of every exception of the library. The message names the file, the tensor and the offending value
/// where there is one.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file is missing, truncated or malformed, or could not be written.
class io_error : public error {
 public:
  using error::error;
};

/// A value handed to the library is out of its domain (a shape, an option, a configuration).
class value_error : public error {
 public:
  using error::error;
};

/// Throws `Error` with a message formatted by fmt.
template <class Error = value_error, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws `Error` unless `condition` holds. The arguments are formatted only on failure.
template <class Error = value_error, class... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail<Error>(format, std::forward<Args>(args)...);
}

}  // namespace zoqat

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <fmt/core.h>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
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

#if !ZOQAT_EXCEPTIONS

/// What is called with the message of an error in a program without exceptions. It must not return.
using error_handler = void (*)(const char* message);

namespace detail {

inline void print_and_abort(const char* message) {
  std::fprintf(stderr, "zoqat: %s\n", message);
  std::abort();
}

/// The one variable of the library that is not an object of its user, as with `std::set_terminate`: `fail` is called
/// in functions of every layer, none of which could be given a handler.
inline constinit std::atomic<error_handler> current_error_handler{&print_and_abort};

}  // namespace detail

/// Compiled with -fno-exceptions only: sets what is called in place of a throw, and returns what was until now. At
/// first it prints the message and aborts; null means that again. From any thread.
inline error_handler set_error_handler(error_handler handler) noexcept {
  return detail::current_error_handler.exchange(handler ? handler : &detail::print_and_abort);
}

#endif

namespace detail {

/// A message without its middle where it is long: names and values in it come from files.
inline std::string shortened(std::string message) {
  constexpr std::size_t head = 2000, tail = 1000;
  if (message.size() > head + tail) message.replace(head, message.size() - head - tail, " ... ");
  return message;
}

}  // namespace detail

/// Throws `Error` with a message formatted by fmt, some thousand bytes at most. Without exceptions it hands the
/// message to the error handler.
template <class Error = value_error, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
#if ZOQAT_EXCEPTIONS
  throw Error(detail::shortened(fmt::format(format, std::forward<Args>(args)...)));
#else
  detail::current_error_handler.load()(detail::shortened(fmt::format(format, std::forward<Args>(args)...)).c_str());
  std::abort();  // for a handler that returns
#endif
}

/// Throws `Error` unless `condition` holds. The arguments are formatted only on failure.
template <class Error = value_error, class... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail<Error>(format, std::forward<Args>(args)...);
}

}  // namespace zoqat

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

namespace zoqat::inline ZOQAT_ABI {

/// Throws io_error "<path>: cannot <action>: <text of the error number>". `code` defaults to the caller's errno.
[[noreturn]] inline void fail_errno(const std::filesystem::path& path, std::string_view action, int code = errno) {
  fail<io_error>("{}: cannot {}: {}", path.native(), action, std::generic_category().message(code));
}

/// Owns one POSIX file descriptor.
class file_descriptor {
 public:
  file_descriptor() = default;
  /// Takes over `value`; a negative one means none.
  explicit file_descriptor(int value) noexcept : value_(value) {}
  file_descriptor(file_descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  file_descriptor& operator=(file_descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~file_descriptor() {
    if (value_ >= 0) ::close(value_);
  }

  [[nodiscard]] int get() const noexcept { return value_; }
  [[nodiscard]] explicit operator bool() const noexcept { return value_ >= 0; }
  /// Gives the descriptor up, for a caller who must see the result of close.
  [[nodiscard]] int release() noexcept { return std::exchange(value_, -1); }

 private:
  int value_ = -1;
};

/// What a function of the system returns that `call()` calls, again where a signal interrupts it: a negative number
/// for any other error.
template <class Call>
[[nodiscard]] auto uninterrupted(Call&& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// Writes all of `bytes`, however many calls that takes. Returns 0, or the error number where the system writes less
/// (ENOSPC, EFBIG, ...).
[[nodiscard]] inline int try_write_all(const file_descriptor& file, std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(file.get(), bytes.data(), bytes.size()); });
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;  // no error and no progress: trying again could go on for ever
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

/// The same. Throws io_error that names `path` when the system writes less.
inline void write_all(const file_descriptor& file, std::span<const std::byte> bytes,
                      const std::filesystem::path& path) {
  if (const int code = try_write_all(file, bytes); code != 0) fail_errno(path, "write", code);
}

}  // namespace zoqat

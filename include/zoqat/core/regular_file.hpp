// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/file_descriptor.hpp>

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI {

/// Bytes of an open file. Throws io_error, also for what is no regular file: a folder, a device, a FIFO.
[[nodiscard]] inline std::uintmax_t regular_size(const file_descriptor& file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_errno(path, "stat");
  require<io_error>(S_ISREG(status.st_mode), "{}: not a regular file", path.native());
  return static_cast<std::uintmax_t>(status.st_size);
}

/// Opens a file that is there with flags of open(2); `what`, such as "the run log", is for messages. Does not wait
/// for the other end of a FIFO. Throws io_error, also for what is no regular file.
[[nodiscard]] inline file_descriptor open_regular(const std::filesystem::path& path, int flags,
                                                  std::string_view what = {}) {
  file_descriptor file(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK); }));
  if (!file) fail_errno(path, what.empty() ? "open" : fmt::format("open {}", what));
  static_cast<void>(regular_size(file, path));
  return file;
}

/// Reads `to.size()` bytes from the place where the file stands, or fewer at its end, and returns how many. Throws
/// io_error.
[[nodiscard]] inline std::size_t read_some(const file_descriptor& file, std::span<std::byte> to,
                                           const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done != to.size()) {
    const ssize_t got = uninterrupted([&] { return ::read(file.get(), to.data() + done, to.size() - done); });
    if (got < 0) fail_errno(path, "read");
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

/// Whether a file that begins so is what a repository holds in place of a large file until that is fetched.
[[nodiscard]] inline bool is_pointer_of_lfs(std::string_view start) noexcept {
  return start.starts_with("version https://git-lfs.github.com/");
}

/// Whether the file could be taken as `lock_exclusively` takes it.
[[nodiscard]] inline bool try_lock(const file_descriptor& file) noexcept {
  return uninterrupted([&] { return ::flock(file.get(), LOCK_EX | LOCK_NB); }) == 0;
}
/// Whether another opening of the file has locked it at this moment.
[[nodiscard]] inline bool is_locked(const file_descriptor& file) noexcept {
  return uninterrupted([&] { return ::flock(file.get(), LOCK_SH | LOCK_NB); }) != 0 && errno == EWOULDBLOCK;
}

/// Keeps other processes that ask for it, and other openings of this one, from having the file until it is closed
/// (flock). Throws io_error where another one has it.
inline void lock_exclusively(const file_descriptor& file, const std::filesystem::path& path, std::string_view what) {
  if (try_lock(file)) return;
  require<io_error>(errno != EWOULDBLOCK,
                    "{}: {} is in use by another run; wait until that one has ended, or give this one another name",
                    path.native(), what);
  fail_errno(path, fmt::format("lock {}", what));
}

/// The folder of a file, "." where its path names none.
[[nodiscard]] inline std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

/// Makes the names in a folder durable. Throws io_error where the disk cannot. Some file systems cannot sync a
/// folder, and some folders may be written to but not read; then the content of files is safe all the same: no error.
/// Takes no memory unless it throws.
inline void sync_folder(const std::filesystem::path& folder) {
  const file_descriptor handle(
      uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!handle && errno == EACCES) return;
  if (handle && uninterrupted([&] { return ::fsync(handle.get()); }) == 0) return;
  if (handle && (errno == EINVAL || errno == ENOTSUP || errno == EROFS)) return;
  fail_errno(folder, "sync the folder");
}

}  // namespace zoqat

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/file_descriptor.hpp>
#include <zoqat/core/regular_file.hpp>

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::io {

/// Writes a file so that readers see the old content or the new one and never a part (POSIX): the bytes go to
/// a temporary in the same folder, `commit()` makes them durable and renames. Until then the destination is
/// untouched; an object destroyed without a commit removes its temporary. A crash can leave one behind, named
/// `.zoqat-<pid>-<number>.tmp`; the next file that is written in that folder removes it, since nobody holds its lock.
///
/// A destination that exists keeps its permissions, and stays a link where it is one; a link to nothing is refused.
/// Writes are unbuffered: hand over large spans.
class atomic_file {
 public:
  /// Throws io_error with the path and the system's reason.
  explicit atomic_file(std::filesystem::path destination)
      : path_(std::move(destination)), target_(resolve(path_)), temporary_(create()) {}
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;
  ~atomic_file() {
    if (!committed_) ::unlink(temporary_.c_str());
  }

  /// The destination as it was given.
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  /// Appends. Throws io_error when anything less than all of it is written.
  void write(std::span<const std::byte> bytes) {
    require<io_error>(static_cast<bool>(file_), "{}: written to after its commit", path_.native());
    write_all(file_, bytes, path_);
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

  /// Puts the file in its place. Throws io_error, with the destination untouched, when the data cannot be made
  /// durable or the rename fails; and with the file in its place when its name cannot be made durable. To be called
  /// once.
  void commit() {
    require<io_error>(static_cast<bool>(file_), "{}: committed twice", path_.native());
    const std::filesystem::path folder = folder_of(target_);
    if (uninterrupted([&] { return ::fsync(file_.get()); }) != 0) fail_errno(path_, "sync");
    const file_descriptor lock(::dup(file_.get()));  // until it has its name, nobody is to take it for dead
    // Network file systems report errors here. Where a signal interrupts it, it is closed all the same.
    if (::close(file_.release()) != 0 && errno != EINTR) fail_errno(path_, "close");
    if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail_errno(path_, "rename into place");
    committed_ = true;
    sync_folder(folder);
  }

  /// Removes what crashes left in a folder: temporaries that nobody has locked. What cannot be read or removed is no
  /// error here.
  static void remove_dead_temporaries(const std::filesystem::path& folder) {
    std::error_code ignored;
    const std::filesystem::directory_iterator end;
    for (std::filesystem::directory_iterator at(folder, ignored); at != end; at.increment(ignored)) {
      const std::string name = at->path().filename().native();
      if (!name.starts_with(".zoqat-") || !name.ends_with(".tmp")) continue;
      const file_descriptor file(::open(at->path().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
      if (file && try_lock(file)) ::unlink(at->path().c_str());
    }
  }

 private:
  static std::filesystem::path resolve(const std::filesystem::path& path) {
    std::error_code absent;
    auto target = std::filesystem::canonical(path, absent);
    if (absent) {
      if (absent != std::errc::no_such_file_or_directory) fail_errno(path, "find", absent.value());
      std::error_code ignored;
      require<io_error>(!std::filesystem::is_symlink(std::filesystem::symlink_status(path, ignored)),
                        "{}: is a link to nothing, which is not replaced by a file; give another name",
                        path.native());
      return path;
    }
    // A rename would put a regular file in the place of a device.
    require<io_error>(std::filesystem::is_regular_file(target, absent), "{}: not a regular file", path.native());
    return target;
  }

  std::filesystem::path create() {
    static std::atomic<std::uint64_t> counter{0};
    const std::filesystem::path folder = folder_of(target_);
    remove_dead_temporaries(folder);
    while (true) {
      auto name = folder / fmt::format(".zoqat-{}-{}.tmp", ::getpid(), counter++);
      file_ = file_descriptor(
          uninterrupted([&] { return ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }));
      if (!file_ && errno == EEXIST) continue;  // left by a crash
      if (!file_) fail_errno(path_, "create a temporary beside it");
      if (take_lock(name)) return keep_permissions(std::move(name));
    }
  }

  /// Takes the lock that says that the temporary is in use. False where somebody took it for dead before that. Throws
  /// io_error, without the temporary, where the file system has no locks.
  [[nodiscard]] bool take_lock(const std::filesystem::path& name) const {
    struct stat status {};
    if (try_lock(file_)) return ::fstat(file_.get(), &status) == 0 && status.st_nlink != 0;
    if (errno == EWOULDBLOCK) return false;
    const int code = errno;
    ::unlink(name.c_str());
    fail_errno(path_, "lock a temporary beside it", code);
  }
  std::filesystem::path keep_permissions(std::filesystem::path name) {
    struct stat old {};
    if (::stat(target_.c_str(), &old) == 0 &&
        uninterrupted([&] { return ::fchmod(file_.get(), old.st_mode & 07777); }) != 0) {
      const int code = errno;
      ::unlink(name.c_str());
      fail_errno(path_, "set the permissions of", code);
    }
    return name;
  }

  std::filesystem::path path_, target_;
  file_descriptor file_;
  std::filesystem::path temporary_;  // after file_, which its creation fills in
  bool committed_ = false;
};

}  // namespace zoqat::io

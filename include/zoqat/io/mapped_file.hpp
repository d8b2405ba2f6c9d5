// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/file_descriptor.hpp>
#include <zoqat/core/regular_file.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::io {

/// A regular file mapped read-only into memory (POSIX). Opening costs no reading; pages come as they are
/// touched and can be dropped again under memory pressure. The bytes stay where they are when the object is
/// moved. A file that another process shortens while it is mapped raises SIGBUS on access, as with every mmap;
/// `atomic_file` replaces files instead, which is harmless.
class mapped_file {
 public:
  mapped_file() = default;
  /// Throws io_error with the path and the system's reason, and for a pointer of Git LFS. An empty file is allowed
  /// and has no bytes.
  explicit mapped_file(std::filesystem::path path) : mapped_file() {  // whose destructor is called from here on
    path_ = std::move(path);
    const file_descriptor file = open_regular(path_, O_RDONLY);
    const std::uintmax_t size = regular_size(file, path_);
    if (size > 0) map(file, size);
    require<io_error>(bytes_.size() >= 1024 || !is_pointer_of_lfs(text()),
                      "{}: is a pointer of Git LFS and not the file itself; fetch that by git lfs pull",
                      path_.native());
  }
  mapped_file(mapped_file&& other) noexcept
      : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}
  mapped_file& operator=(mapped_file&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~mapped_file() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  /// The same bytes as characters.
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

  /// Gives the memory of `part` back to the system; whoever reads it again reads the file again. Nothing of what is
  /// not this file's.
  void release_pages(std::span<const std::byte> part) const noexcept {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto address = [](const std::byte* p) { return reinterpret_cast<std::uintptr_t>(p); };
    const std::uintptr_t begin = address(bytes_.data()), end = begin + bytes_.size();
    const std::uintptr_t first = std::max(begin, address(part.data())) / page * page;
    const std::uintptr_t last = std::min(end, address(part.data()) + part.size());
    if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }

 private:
  void map(const file_descriptor& file, std::uintmax_t size) {
    if (size > PTRDIFF_MAX) fail_errno(path_, "map", EFBIG);
    void* const address = ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) fail_errno(path_, "map");
    bytes_ = {static_cast<const std::byte*>(address), static_cast<std::size_t>(size)};
  }

  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace zoqat::io

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::testing {

/// A text of a file that is small and asks for much.
struct bomb {
  std::string_view what;
  std::string text;
};

/// The memory that reading a file may take: so many bytes for each of the file, and so many beside.
struct memory_limit {
  std::size_t per_byte = 2, beside = std::size_t{64} << 20;

  [[nodiscard]] constexpr std::size_t of(std::size_t file) const noexcept { return per_byte * file + beside; }
};

/// A data set is read in the usual limit, and becomes items that the caller gets: of up to eight bytes for each of
/// the file and 64 MB beside (tasks::item_list), since questions on one passage repeat it.
inline constexpr memory_limit limit_of_data{10, std::size_t{128} << 20};

/// Something that reads a file, for tests that hand it anything.
struct reader {
  std::string_view name;
  std::string_view file;  ///< what the file is called in its folder
  /// A small file that is read.
  std::string (*seed)();
  /// Reads `file` in the folder, and all of what it holds. Throws zoqat::error for what is no such file.
  void (*read)(const std::filesystem::path& folder);
  /// Writes what else there must be in the folder.
  void (*surround)(const std::filesystem::path& folder) = [](const auto&) {};
  /// Mends checksums, so that damage gets past them.
  std::string (*repaired)(std::string) = [](std::string text) { return text; };
  memory_limit limit{};
  bool sealed = false;  ///< a checksum covers all of it: nothing but the file itself is read, unless mended
  /// Files of this kind, of about so many bytes or fewer, that ask for much.
  std::vector<bomb> (*bombs)(std::size_t bytes) = [](std::size_t) { return std::vector<bomb>(); };
};

/// One for each format that the library and its programs read, by name.
[[nodiscard]] std::span<const reader> readers();

}  // namespace zoqat::testing

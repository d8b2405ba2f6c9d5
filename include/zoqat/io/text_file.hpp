// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::io {

namespace detail {

/// What files that are no text begin with, and what they are.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 8> other_files{{
    {"\xFF\xFE", "a text in UTF-16; make it UTF-8, as by iconv"},
    {"\xFE\xFF", "a text in UTF-16; make it UTF-8, as by iconv"},
    {"\x1F\x8B", "compressed by gzip; unpack it"},
    {"BZh", "compressed by bzip2; unpack it"},
    {"\xFD\x37zXZ", "compressed by xz; unpack it"},
    {"\x28\xB5\x2F\xFD", "compressed by zstd; unpack it"},
    {"PK\x03\x04", "a zip archive; unpack it"},
    {"PAR1", "a Parquet table; convert it to JSON lines"},
}};

}  // namespace detail

/// A text file as one string, with line ends of any system (CR LF) turned into LF, since a tokenizer would spend a
/// token on each CR. Throws io_error for a file that cannot be read, is empty, or begins like one in UTF-16, a
/// compressed one or another that holds no text.
[[nodiscard]] inline std::string read_text(const std::filesystem::path& path) {
  const mapped_file file(path);
  require<io_error>(!file.bytes().empty(), "{}: the file is empty; a text is wanted", path.native());
  for (const auto& [beginning, what] : detail::other_files)
    require<io_error>(!file.text().starts_with(beginning), "{}: the file is {}", path.native(), what);
  std::string text;
  text.reserve(file.text().size());
  for (const char c : file.text()) {
    if (c == '\n' && text.ends_with('\r'))
      text.back() = c;
    else
      text.push_back(c);
  }
  return text;
}

}  // namespace zoqat::io

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <filesystem>
#include <string>

namespace zoqat::inline ZOQAT_ABI::io {

/// A text file as one string, with line ends of any system (CR LF) turned into LF, since a tokenizer would spend a
/// token on each CR. Throws io_error for a file that cannot be read or is empty.
[[nodiscard]] inline std::string read_text(const std::filesystem::path& path) {
  const mapped_file file(path);
  require<io_error>(!file.bytes().empty(), "{}: the file is empty; a text is wanted", path.native());
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

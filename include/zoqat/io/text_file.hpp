// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// `file`, if it is one that can hold a text. Throws io_error for one that is empty, or begins like one of the kinds
/// that hold none.
inline const mapped_file& require_text(const mapped_file& file) {
  const std::string& name = file.path().native();
  require<io_error>(!file.bytes().empty(), "{}: the file is empty; a text is wanted", name);
  const file_kind found = kind_of_file(file.text());  // JSON is a text too
  require<io_error>(found == file_kind::json || found == file_kind::unknown, "{}: is {}; a text is wanted", name,
                    file_kind_name(found));
  return file;
}

/// A text file as one string, without a byte order mark (UTF-8) and with line ends of any system (CR LF) turned into
/// LF, since a tokenizer would spend tokens on these. Throws io_error for a file that cannot be read, and as
/// `require_text` does.
[[nodiscard]] inline std::string read_text(const std::filesystem::path& path) {
  const mapped_file file(path);
  require_text(file);
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  const std::string_view content = file.text().substr(file.text().starts_with(mark) ? mark.size() : 0);
  std::string text;
  text.reserve(content.size());
  for (const char c : content) {
    if (c == '\n' && text.ends_with('\r'))
      text.back() = c;
    else
      text.push_back(c);
  }
  return text;
}

}  // namespace zoqat::io

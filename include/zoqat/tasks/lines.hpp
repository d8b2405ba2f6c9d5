// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/mapped_file.hpp>
#include <zoqat/io/text_file.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Calls f(line, place) for the lines of a file that are not empty, without their ends (LF or CR LF); `place` is
/// "file:number" for messages. A byte order mark (UTF-8) is no part of the first line. Throws io_error for a file
/// that cannot be read or is empty.
template <class F>
void for_each_line(const std::filesystem::path& path, F&& f) {
  const io::mapped_file file(path);
  const std::string_view text = io::require_text(file).text();
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  std::size_t number = 1;
  for (std::size_t first = text.starts_with(mark) ? mark.size() : 0; first < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', first), text.size());
    std::string_view line = text.substr(first, end - first);
    if (end != text.size() && line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) f(line, fmt::format("{}:{}", path.native(), number));
    first = end + 1;
  }
}

}  // namespace zoqat::tasks

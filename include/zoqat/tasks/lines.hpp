// SPDX-License-Identifier: Apache-2.0
#pragma once

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
  const std::string text = io::read_text(path);
  constexpr std::string_view mark = "\xEF\xBB\xBF";
  std::size_t number = 1;
  for (std::size_t first = text.starts_with(mark) ? mark.size() : 0; first < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', first), text.size());
    if (end != first)
      f(std::string_view(text).substr(first, end - first), fmt::format("{}:{}", path.native(), number));
    first = end + 1;
  }
}

}  // namespace zoqat::tasks

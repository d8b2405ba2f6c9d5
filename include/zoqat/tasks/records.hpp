// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/tasks/lines.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Longest JSON text that is read as a data set, which may have more of it than a model.
inline constexpr std::size_t max_data_bytes = std::size_t{1} << 30;

namespace detail {

/// What the text of a data set gives `read(text)`. Where it is no JSON, but its first line is, the message says what
/// file might be meant.
template <class Read>
auto read_data(std::string_view text, Read&& read) {
  try {
    return read(text);
  } catch (const io_error& error) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.size() == text.size() || !io::is_json(line) || io::is_json(text)) throw;
    fail<io_error>(
        "{}; its first line is JSON by itself: a file with one record in a line has a name that ends in .jsonl",
        error.what());
  }
}

}  // namespace detail

/// Reads a JSON file of which the elements and members of what stands at `places` are so many that they are not to be
/// in memory together (see io::parse_json_parts): calls f(json_part) with each, and returns the rest. Throws io_error
/// as io::require_text and io::read_json do.
template <class F>
io::json with_parts(const std::filesystem::path& path, std::initializer_list<std::string_view> places, F&& f) {
  const io::mapped_file file(path);
  return detail::read_data(io::require_text(file).text(), [&](std::string_view text) {
    return io::parse_json_parts(text, path.native(), places, f, {.bytes = max_data_bytes});
  });
}

/// Calls f(place) for the records of a data set: the values of the lines of a file whose name ends in `.jsonl`, the
/// elements of the array in any other. One of them is in memory at a time. Throws io_error for anything else.
template <class F>
void for_each_record(const std::filesystem::path& path, F&& f) {
  if (path.extension() != ".jsonl") {
    const io::json rest = with_parts(path, {""}, [&](const io::json_part& part) {
      if (!part.in_object) f(io::json_place(part.value, fmt::format("{}: [{}]", path.native(), part.index)));
    });
    return io::json_place(rest, path.native() + ": ").for_each(f);  // throws unless it is an array, which is empty
  }
  for_each_line(path, [&](std::string_view line, const std::string& place) {
    const io::json record = io::parse_json(line, place, {.bytes = max_data_bytes});
    f(io::json_place(record, place + ": "));
  });
}

}  // namespace zoqat::tasks

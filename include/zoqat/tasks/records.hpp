// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/json_place.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/tasks/lines.hpp>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// Longest JSON text that is read as a data set, which may have more of it than a model.
inline constexpr std::size_t max_data_bytes = std::size_t{1} << 30;

namespace detail {

/// The JSON value that a file is. Where it is none, but its first line is, the message says what file might be meant.
[[nodiscard]] inline io::json read_data(const std::filesystem::path& path) {
  const io::mapped_file file(path);
  const std::string_view text = file.text();
  try {
    return io::parse_json(text, path.native(), max_data_bytes, io::json_memory_per_byte_of_data);
  } catch (const io_error& error) {
    const std::size_t line_end = text.find('\n');
    require<io_error>(line_end == text.npos || !io::json::accept(text.substr(0, line_end)),
                      "{}; its first line is JSON by itself: a file with one record in a line has a name that ends "
                      "in .jsonl",
                      error.what());
    throw;
  }
}

}  // namespace detail

/// Reads a JSON file and calls f(place) with all of it. Throws io_error as io::read_json does.
template <class F>
void with_json(const std::filesystem::path& path, F&& f) {
  const io::json all = detail::read_data(path);
  f(io::json_place(all, path.native() + ": "));
}

/// Calls f(place) for the records of a data set: the values of the lines of a file whose name ends in `.jsonl`, the
/// elements of the array in any other. Throws io_error for anything else.
template <class F>
void for_each_record(const std::filesystem::path& path, F&& f) {
  if (path.extension() != ".jsonl") return with_json(path, [&](const io::json_place& all) { all.for_each(f); });
  for_each_line(path, [&](std::string_view line, const std::string& place) {
    const io::json record = io::parse_json(line, place, max_data_bytes, io::json_memory_per_byte_of_data);
    f(io::json_place(record, place + ": "));
  });
}

}  // namespace zoqat::tasks

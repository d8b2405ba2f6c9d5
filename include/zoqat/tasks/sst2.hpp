// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/tasks/item.hpp>
#include <zoqat/tasks/item_list.hpp>
#include <zoqat/tasks/lines.hpp>
#include <zoqat/tasks/text_template.hpp>
#include <zoqat/tasks/white_space.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

/// What becomes of a sentence of SST-2; by default as in MeZO (arXiv 2305.17333, its templates.py).
struct sst2_format {
  std::string prompt = "{sentence} It was";
  std::array<std::string, 2> choices{" terrible", " great"};  ///< of the labels 0 (negative) and 1 (positive)
};

namespace detail {

/// Throws io_error for more fields than a table of sentences has.
[[nodiscard]] inline std::vector<std::string_view> split_at_tabs(std::string_view line, std::string_view place) {
  constexpr std::ptrdiff_t most = 64;
  const auto tabs = std::ranges::count(line, '\t');
  require<io_error>(tabs < most, "{}: {} fields between tabs, but {} at most are wanted: \"{}\"", place, tabs + 1,
                    most, io::detail::excerpt(line));
  std::vector<std::string_view> fields;
  for (std::size_t first = 0; first <= line.size();) {
    const std::size_t end = std::min(line.find('\t', first), line.size());
    fields.push_back(line.substr(first, end - first));
    first = end + 1;
  }
  return fields;
}

/// Where the columns of a TSV file of SST-2 are.
struct sst2_columns {
  std::size_t sentence = 0, label = 1, count = 2;

  [[nodiscard]] static bool is_header(const std::vector<std::string_view>& fields) {
    const auto has = [&](std::string_view name) { return std::ranges::find(fields, name) != fields.end(); };
    return has("sentence") && (has("label") || has("index"));
  }
  [[nodiscard]] static sst2_columns of_header(const std::vector<std::string_view>& fields, std::string_view place) {
    const auto find = [&](std::string_view name) {
      const auto found = std::ranges::find(fields, name);
      require<io_error>(found != fields.end(),
                        "{}: there is no column \"{}\"; GLUE's own test file has no labels, "
                        "and its dev file is used in its place",
                        place, name);
      return static_cast<std::size_t>(found - fields.begin());
    };
    return {find("sentence"), find("label"), fields.size()};
  }
};

}  // namespace detail

/// Reads a TSV file of GLUE's SST-2: the columns `sentence` and `label`, in the order of its header line, or sentence
/// and label where it has none. Throws io_error with the line and the value for what is no such file, and value_error
/// for a template with other placeholders than {sentence}.
[[nodiscard]] inline std::vector<choice_item> read_sst2(const std::filesystem::path& path,
                                                        const sst2_format& format = {}) {
  const text_template prompt(format.prompt, {"sentence"});
  detail::sst2_columns columns;
  item_list<choice_item> items(path);
  bool first = true;
  for_each_line(path, [&](std::string_view line, const std::string& place) {
    const auto fields = detail::split_at_tabs(line, place);
    if (std::exchange(first, false) && detail::sst2_columns::is_header(fields)) {
      columns = detail::sst2_columns::of_header(fields, place);
      return;
    }
    require<io_error>(fields.size() == columns.count, "{}: {} fields between tabs, but {} are wanted: \"{}\"", place,
                      fields.size(), columns.count, io::detail::excerpt(line));
    const std::string_view label = fields[columns.label];
    require<io_error>(label == "0" || label == "1", "{}: label \"{}\" is not 0 or 1", place,
                      io::detail::excerpt(label));
    items.push_back({.prompt = prompt({trimmed(fields[columns.sentence])}),
                     .choices = {format.choices.begin(), format.choices.end()},
                     .correct = label == "1"});
  });
  return std::move(items).take();
}

}  // namespace zoqat::tasks

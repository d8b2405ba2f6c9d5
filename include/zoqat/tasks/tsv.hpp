// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/tasks/lines.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::tasks {

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

/// Where the columns of a header line are that are wanted, and how many columns there are.
template <std::size_t N>
struct tsv_columns {
  std::array<std::size_t, N> at;
  std::size_t count;

  /// Whether a line is a header: it has the first of the wanted columns, and "index" or another of them.
  [[nodiscard]] static bool is_header(const std::vector<std::string_view>& fields,
                                      const std::array<std::string_view, N>& wanted) {
    const auto has = [&](std::string_view name) { return std::ranges::find(fields, name) != fields.end(); };
    return has(wanted.front()) && (has("index") || std::ranges::any_of(wanted.begin() + 1, wanted.end(), has));
  }
  [[nodiscard]] static tsv_columns of_header(const std::vector<std::string_view>& fields,
                                             const std::array<std::string_view, N>& wanted, std::string_view place) {
    tsv_columns columns{{}, fields.size()};
    for (std::size_t i = 0; i != N; ++i) {
      const auto found = std::ranges::find(fields, wanted[i]);
      require<io_error>(found != fields.end(),
                        "{}: there is no column \"{}\"; GLUE's own test file has no labels, "
                        "and its dev file is used in its place",
                        place, wanted[i]);
      columns.at[i] = static_cast<std::size_t>(found - fields.begin());
    }
    return columns;
  }
};

}  // namespace detail

/// Calls f(values, place) with the `wanted` columns of every row of a TSV file of GLUE, in the order of its header
/// line; in one without a header the columns are as `columns` says. Throws io_error with the line and the value for
/// a row that has other columns, and for a header without one of those wanted.
template <std::size_t N, class F>
void for_each_tsv_row(const std::filesystem::path& path, const std::array<std::string_view, N>& wanted,
                      detail::tsv_columns<N> columns, F&& f) {
  bool first = true;
  for_each_line(path, [&](std::string_view line, const std::string& place) {
    const auto fields = detail::split_at_tabs(line, place);
    if (std::exchange(first, false) && detail::tsv_columns<N>::is_header(fields, wanted)) {
      columns = detail::tsv_columns<N>::of_header(fields, wanted, place);
      return;
    }
    require<io_error>(fields.size() == columns.count, "{}: {} fields between tabs, but {} are wanted: \"{}\"", place,
                      fields.size(), columns.count, io::detail::excerpt(line));
    std::array<std::string_view, N> values;
    for (std::size_t i = 0; i != N; ++i) values[i] = fields[columns.at[i]];
    f(values, place);
  });
}

}  // namespace zoqat::tasks

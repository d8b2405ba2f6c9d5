// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/json.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

/// Mean and standard deviation of a sample, which has at least one value; the latter is 0 exactly where all are
/// equal.
struct spread {
  double mean = 0, deviation = 0;
};
[[nodiscard]] inline spread spread_of(std::span<const double> values) {
  const double n = static_cast<double>(values.size()), first = values.front();
  double sum = 0, squares = 0;
  for (const double v : values) sum += v - first;
  const double mean = first + sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0};
}

/// Figures of a model's versions, as a table for people and as JSON for programs. A version that was made several
/// times, from several seeds, is one row: means, with their standard deviations where there are any.
class results_table {
 public:
  struct column {
    std::string name;  ///< also the key in JSON, with '_' for ' '
    int decimals = 0;  ///< 0 for whole numbers
  };
  /// A number of any type.
  struct figure {
    template <class T>
      requires std::is_arithmetic_v<T>
    constexpr figure(T number) noexcept : value(static_cast<double>(number)) {}
    double value;
  };
  /// In place of a figure that a version does not have.
  static constexpr double none = std::numeric_limits<double>::quiet_NaN();

  explicit results_table(std::vector<column> columns) : columns_(std::move(columns)) {}

  /// Figures of the version `row`, one for each column; those of an earlier seed stay beside them.
  void add(std::string_view row, std::initializer_list<figure> figures) {
    require(figures.size() == columns_.size(), "results_table: {} figures for {}, but there are {} columns",
            figures.size(), row, columns_.size());
    auto found = std::ranges::find(rows_, row, &entry::name);
    if (found == rows_.end())
      found = rows_.insert(found, {std::string(row), {columns_.size(), std::vector<double>()}});
    auto cell = found->cells.begin();
    for (const figure f : figures) (cell++)->push_back(f.value);
  }

  /// `caption` is printed above the columns.
  [[nodiscard]] std::string text(std::string_view caption) const {
    std::vector<std::vector<std::string>> lines{{""}};
    for (const column& c : columns_) lines.front().push_back(c.name);
    for (const entry& row : rows_) {
      lines.push_back({row.name});
      for (std::size_t i = 0; i != columns_.size(); ++i)
        lines.back().push_back(cell_text(row.cells[i], columns_[i].decimals));
    }
    return fmt::format("{}\n{}", caption, aligned(lines));
  }

  /// {"row": {"column": figure, …}, …}: an array of figures where the row was added more than once, null for none.
  /// Throws io_error.
  void write_json(const std::filesystem::path& path) const {
    io::json all = io::json::object();
    for (const entry& row : rows_)
      for (std::size_t i = 0; i != columns_.size(); ++i) {
        std::string key = columns_[i].name;
        std::ranges::replace(key, ' ', '_');
        all[row.name][key] = cell_json(row.cells[i], columns_[i].decimals);
      }
    const std::string text = all.dump(2) + "\n";
    io::atomic_file file(path);
    file.write(std::as_bytes(std::span(text)));
    file.commit();
  }

 private:
  struct entry {
    std::string name;
    std::vector<std::vector<double>> cells;  // by column and seed
  };

  static std::string cell_text(const std::vector<double>& figures, int decimals) {
    const auto [mean, deviation] = spread_of(figures);
    if (std::isnan(mean)) return "-";
    std::string text = fmt::format("{:.{}f}", mean, decimals);
    if (deviation > 0) text += fmt::format(" ± {:.{}f}", deviation, decimals);
    return text;
  }
  static io::json cell_json(const std::vector<double>& figures, int decimals) {
    io::json values = io::json::array();
    for (const double value : figures) {
      if (decimals == 0 && std::isfinite(value))
        values.push_back(static_cast<std::int64_t>(value));
      else
        values.push_back(value);
    }
    return values.size() == 1 ? values.front() : values;
  }
  /// Names to the left, figures to the right of columns that are as wide as they must be.
  static std::string aligned(const std::vector<std::vector<std::string>>& lines) {
    std::string out;
    for (const auto& line : lines) {
      for (std::size_t i = 0; i != line.size(); ++i) {
        std::size_t widest = 0;
        for (const auto& other : lines) widest = std::max(widest, characters(other[i]));
        const std::string space(widest - characters(line[i]), ' ');
        out += i == 0 ? line[i] + space : "    " + space + line[i];
      }
      out += '\n';
    }
    return out;
  }
  /// Characters of a text in UTF-8: bytes that do not go on with one.
  static std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
  }

  std::vector<column> columns_;
  std::vector<entry> rows_;
};

}  // namespace zoqat::train

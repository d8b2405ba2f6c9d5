// SPDX-License-Identifier: Apache-2.0
#include <common/results_table.hpp>

#include <zoqat/core/error.hpp>      // require
#include <zoqat/io/atomic_file.hpp>  // atomic_file
#include <zoqat/io/json.hpp>         // json

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace zoqat::programs {

namespace {

std::string cell_text(const std::vector<double>& figures, int decimals) {
  const auto [mean, deviation] = moments_of(figures);
  if (std::isnan(mean)) return "-";
  std::string text = fmt::format("{:.{}f}", mean, decimals);
  if (deviation > 0) text += fmt::format(" ± {:.{}f}", deviation, decimals);
  return text;
}

io::json cell_json(const std::vector<double>& figures, int decimals) {
  io::json values = io::json::array();
  for (const double value : figures) {
    if (decimals == 0 && std::isfinite(value))
      values.push_back(static_cast<std::int64_t>(value));
    else
      values.push_back(value);
  }
  return values.size() == 1 ? values.front() : values;
}
/// Characters of a text in UTF-8: bytes that do not go on with one.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

/// Names to the left, figures to the right of columns that are as wide as they must be.
std::string aligned(const std::vector<std::vector<std::string>>& lines) {
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

}  // namespace

sample_moments moments_of(std::span<const double> values) {
  const double n = static_cast<double>(values.size()), first = values.front();
  double sum = 0, squares = 0;
  for (const double v : values) sum += v - first;
  const double mean = first + sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0};
}

void results_table::add(std::string_view row, std::initializer_list<figure> figures) {
  require(figures.size() == columns_.size(), "results_table: {} figures for {}, but there are {} columns",
          figures.size(), row, columns_.size());
  auto found = std::ranges::find(rows_, row, &entry::name);
  if (found == rows_.end()) found = rows_.insert(found, {std::string(row), {columns_.size(), std::vector<double>()}});
  auto cell = found->cells.begin();
  for (const figure f : figures) (cell++)->push_back(f.value);
}

void results_table::add_origin(std::string_view row, const io::safetensors_metadata& origin) {
  origins_.insert_or_assign(std::string(row), origin);
}

std::string results_table::text(std::string_view caption) const {
  std::vector<std::vector<std::string>> lines{{""}};
  for (const column& c : columns_) lines.front().push_back(c.name);
  for (const entry& row : rows_) {
    lines.push_back({row.name});
    for (std::size_t i = 0; i != columns_.size(); ++i)
      lines.back().push_back(cell_text(row.cells[i], columns_[i].decimals));
  }
  return fmt::format("{}\n{}", caption, aligned(lines));
}

void results_table::write_json(const std::filesystem::path& path) const {
  io::json all = io::json::object();
  for (const entry& row : rows_)
    for (std::size_t i = 0; i != columns_.size(); ++i) {
      std::string key = columns_[i].name;
      std::ranges::replace(key, ' ', '_');
      all[row.name][key] = cell_json(row.cells[i], columns_[i].decimals);
    }
  for (const auto& [row, origin] : origins_)
    for (const auto& [key, value] : origin) all[row][key] = value;
  const std::string text = all.dump(2) + "\n";
  io::atomic_file file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace zoqat::programs

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/atomic_file.hpp>
#include <zoqat/io/json.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::train {

/// Perplexities and sizes of a model's versions, as a table for people and as JSON for programs.
class results_table {
 public:
  struct row {
    std::string name;  ///< also the key in JSON
    double perplexity;
    std::size_t weight_bytes;
  };

  void add(std::string_view name, double perplexity, std::size_t weight_bytes) {
    rows_.push_back({std::string(name), perplexity, weight_bytes});
  }
  [[nodiscard]] std::span<const row> rows() const noexcept { return rows_; }

  /// `caption` is printed above the columns.
  [[nodiscard]] std::string text(std::string_view caption) const {
    std::string out = fmt::format("{}\n{:<16}{:>12}{:>16}\n", caption, "", "perplexity", "weight bytes");
    for (const row& r : rows_) out += fmt::format("{:<16}{:>12.4f}{:>16}\n", r.name, r.perplexity, r.weight_bytes);
    return out;
  }

  /// {"name": {"perplexity": p, "weight_bytes": n}, …}. Throws io_error.
  void write_json(const std::filesystem::path& path) const {
    io::json all = io::json::object();
    for (const row& r : rows_) all[r.name] = {{"perplexity", r.perplexity}, {"weight_bytes", r.weight_bytes}};
    const std::string text = all.dump(2) + "\n";
    io::atomic_file file(path);
    file.write(std::as_bytes(std::span(text)));
    file.commit();
  }

 private:
  std::vector<row> rows_;
};

}  // namespace zoqat::train

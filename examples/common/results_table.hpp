// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/safetensors.hpp>  // safetensors_metadata

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::programs {

/// Mean and standard deviation of a sample, which has at least one value; the latter is 0 exactly where all are
/// equal.
struct sample_moments {
  double mean = 0, deviation = 0;
};
[[nodiscard]] sample_moments moments_of(std::span<const double> values);

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

  /// Figures of the version `row`, one for each column; those of an earlier seed stay beside them. Throws value_error
  /// unless there are as many as columns.
  void add(std::string_view row, std::initializer_list<figure> figures);

  /// What JSON says beside the figures of a row: which run made it (model_origin.hpp).
  void add_origin(std::string_view row, const io::safetensors_metadata& origin);

  /// `caption` is printed above the columns.
  [[nodiscard]] std::string text(std::string_view caption) const;

  /// {"row": {"column": figure, …}, …}: an array of figures where the row was added more than once, null for none.
  /// Throws io_error.
  void write_json(const std::filesystem::path& path) const;

 private:
  struct entry {
    std::string name;
    std::vector<std::vector<double>> cells;  // by column and seed
  };

  std::vector<column> columns_;
  std::vector<entry> rows_;
  std::map<std::string, io::safetensors_metadata> origins_;  // by row
};

}  // namespace zoqat::programs

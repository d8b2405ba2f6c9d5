// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::programs {

/// Columns of numbers by their names, as train::csv_metrics writes them; NaN where a cell is empty.
using metric_columns = std::map<std::string, std::vector<double>, std::less<>>;

/// Reads a file of metrics. Throws io_error, with the line, for one that is something else or holds no step, for a
/// line that has more or fewer cells than the first one has names, for steps that do not follow each other and for
/// figures that are never negative and are. The last line of a run that was killed may lack its end and is left out;
/// `cut`, if given, gets whether it does.
[[nodiscard]] metric_columns read_metrics(const std::filesystem::path& path, bool* cut = nullptr);

/// A version of a model in the table that `--report` wrote.
struct version_figures {
  std::string name;
  double perplexity = 0;    ///< NaN where it is none
  double weight_bytes = 0;  ///< likewise
};

/// What is known of a run from its files.
struct run_record {
  std::string name{};  ///< of its files, without extension, and without folder where that is no need
  std::map<std::string, std::string> settings{};  ///< those in its log
  std::uint32_t steps = 0, planned_steps = 0;     ///< those in its log
  metric_columns metrics{};
  std::vector<version_figures> table{};   ///< in the order of a run
  std::string scheme{};                   ///< "" where neither log nor model says it
  std::optional<double> bits{};           ///< per weight of the linear layers, grids included, as the file has them
  std::optional<double> exported_bits{};  ///< the same as a .gguf file would have them, if one holds the scheme
  std::optional<std::uint32_t> kept{};    ///< the step that the model is of, where it says it
  std::vector<std::string> notes{};       ///< what a reader of a report should know

  /// Forward passes over the data of a step: two for each direction. Nothing where no log says how many there are.
  [[nodiscard]] std::optional<double> passes_per_step() const;
  /// The figures of a version, or null.
  [[nodiscard]] const version_figures* find(std::string_view version) const;
  /// Those where training began: of the last version before it.
  [[nodiscard]] const version_figures* start() const;
};

/// Reads run logs, metrics (.csv), tables (.json) and trained models (.safetensors) of runs; files that differ in
/// their extension alone are of one run. `.start` files are passed over. Throws io_error for a file that is none of
/// these, for two of a kind, and for a model that another run made than the one whose log has its name.
[[nodiscard]] std::vector<run_record> read_runs(std::span<const std::filesystem::path> files);

}  // namespace zoqat::programs

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/file_descriptor.hpp>
#include <zoqat/core/regular_file.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/log/run_log.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::train {

/// Appends every update to a run log, before it is made: parameters are never ahead of their log, whatever throws. To
/// none if it is null.
struct write_log {
  zo::run_log* log;
  void before_update(const step_report& report) {
    if (log) log->append(*report.update);
  }
  void end() {
    if (log) log->sync();
  }
};

/// Whether something that happens every `every` steps, and after the last one, happens after `done` of `steps` steps;
/// never for an `every` of 0.
[[nodiscard]] constexpr bool is_due(std::uint32_t every, std::uint32_t done, std::uint32_t steps) noexcept {
  return every > 0 && (done % every == 0 || done == steps);
}

/// Calls `f(steps made)` after every `every` steps and after the last one; never for an `every` of 0.
template <class F>
class evaluate_every {
 public:
  evaluate_every(std::uint32_t every, F f) : every_(every), f_(std::move(f)) {}
  void after_step(const step_report& report) {
    if (reads_parameters(report)) f_(report.step + 1);
  }
  [[nodiscard]] bool reads_parameters(const step_report& report) const noexcept {
    return is_due(every_, report.step + 1, report.steps);
  }

 private:
  std::uint32_t every_;
  F f_;
};

namespace detail {

/// Bytes of the lines of metrics that a run which goes on with step `first` keeps: those that are whole, of steps
/// before it, and the line of names.
[[nodiscard]] inline std::size_t kept_metrics(std::string_view text, std::uint32_t first) noexcept {
  std::size_t kept = 0;
  for (std::size_t end; (end = text.find('\n', kept)) != text.npos; kept = end + 1) {
    const char* const line = text.data() + kept;
    std::uint32_t step = 0;
    const bool is_names = kept == 0;
    if (!is_names && std::from_chars(line, text.data() + end, step).ec != std::errc{}) break;
    if (!is_names && step >= first) break;
  }
  return kept;
}

}  // namespace detail

/// One line per step in a CSV file: step, loss, slope, agreed power, power, spread of the losses, rate of codes that
/// flip, and ε (ε/Δ where units are the steps of a quantizer) and gain of each parameter group; and an evaluation,
/// where there are some. A line is written in one call after its step. A run that goes on appends to what is whole of
/// the steps before; the line of a step after which it was killed is missing where it was not written yet. Throws
/// io_error if the file cannot be written.
class csv_metrics {
 public:
  /// The rate of an estimate's codes (zo::flipped_codes), taken after each step that `every` divides; none without.
  using flip_rate = std::function<double(const zo::measurement&)>;

  /// What was measured of the model after a step, such as its perplexity; NaN for most steps.
  struct evaluation {
    std::string name;  ///< of the column
    std::function<double()> value;
  };

  explicit csv_metrics(std::filesystem::path path, flip_rate flips = {}, std::uint32_t every = 1,
                       evaluation evaluated = {})
      : path_(std::move(path)), flips_(std::move(flips)), every_(every), evaluated_(std::move(evaluated)) {}

  void begin(std::uint32_t first, std::uint32_t) {
    const int flags = O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | (first == 0 ? O_TRUNC : 0);
    file_ = file_descriptor(uninterrupted([&] { return ::open(path_.c_str(), flags, 0666); }));
    if (!file_) fail_errno(path_, "write metrics");
    if (first != 0 && cut(first) != 0) return;
    std::string line = "step,loss,slope,agreed_power,power,spread,flip_rate";
    for (const char* const of : {"epsilon", "gain"})
      for (const std::string_view name : parameter_group_names) line += fmt::format(",{}_{}", of, name);
    if (evaluated_.value) line += fmt::format(",{}", evaluated_.name);
    write(line);
  }
  void after_step(const step_report& report) {
    const zo::planned_update& u = *report.update;
    std::string line = fmt::format("{},{},{},{},{},{},", report.step, report.measured->loss,
                                   u.half_difference.empty() ? 0.0f : u.half_difference.front(), u.signal_power,
                                   u.total_power, report.measured->loss_stddev);
    if (reads_parameters(report)) line += fmt::format("{}", flips_(*report.measured));
    for (const parameter_group group : all_parameter_groups)
      line += fmt::format(",{}", report.measured->epsilon[group]);
    for (const parameter_group group : all_parameter_groups) line += fmt::format(",{}", u.gain[group]);
    if (evaluated_.value) line += evaluation_cell(evaluated_.value());
    write(line);
  }
  [[nodiscard]] bool reads_parameters(const step_report& report) const noexcept {
    return flips_ && is_due(every_, report.step + 1, report.steps);
  }

 private:
  void write(std::string& line) const {
    line += '\n';
    const int code = try_write_all(file_, std::as_bytes(std::span(line)));
    if (code != 0) fail_errno(path_, "write metrics", code);
  }
  [[nodiscard]] static std::string evaluation_cell(double value) {
    return std::isnan(value) ? "," : fmt::format(",{}", value);
  }
  /// Cuts off what a run leaves that goes on with step `first`. Returns how many bytes stay.
  [[nodiscard]] std::size_t cut(std::uint32_t first) const {
    std::string text(static_cast<std::size_t>(regular_size(file_, path_)), '\0');
    text.resize(read_some(file_, std::as_writable_bytes(std::span(text)), path_));
    const std::size_t kept = detail::kept_metrics(text, first);
    if (uninterrupted([&] { return ::ftruncate(file_.get(), static_cast<off_t>(kept)); }) != 0)
      fail_errno(path_, "write metrics");
    return kept;
  }

  std::filesystem::path path_;
  flip_rate flips_;
  std::uint32_t every_;
  evaluation evaluated_;
  file_descriptor file_;
};

}  // namespace zoqat::train

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/log/run_log.hpp>

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
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

/// One line per step in a CSV file: step, loss, slope, agreed power, power, spread of the losses, rate of codes that
/// flip, and ε (ε/Δ where units are the steps of a quantizer) and gain of each parameter group; and an evaluation,
/// where there are some. A run that goes on appends. A line is written whole after its step, so that a run that is
/// killed leaves no part of one. Throws io_error if the file cannot be written.
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
    file_.reset(std::fopen(path_.c_str(), first == 0 ? "w" : "a"));
    check(file_ != nullptr);
    if (first != 0) return;
    print("step,loss,slope,agreed_power,power,spread,flip_rate");
    for (const char* const of : {"epsilon", "gain"})
      for (const std::string_view name : parameter_group_names) print(",{}_{}", of, name);
    if (evaluated_.value) print(",{}", evaluated_.name);
    print("\n");
  }
  void after_step(const step_report& report) {
    const zo::planned_update& u = *report.update;
    print("{},{},{},{},{},{},", report.step, report.measured->loss,
          u.half_difference.empty() ? 0.0f : u.half_difference.front(), u.signal_power, u.total_power,
          report.measured->loss_stddev);
    if (reads_parameters(report)) print("{}", flips_(*report.measured));
    for (const parameter_group group : all_parameter_groups) print(",{}", report.measured->epsilon[group]);
    for (const parameter_group group : all_parameter_groups) print(",{}", u.gain[group]);
    if (evaluated_.value) print_evaluation(evaluated_.value());
    print("\n");
    check(std::fflush(file_.get()) == 0);
  }
  [[nodiscard]] bool reads_parameters(const step_report& report) const noexcept {
    return flips_ && is_due(every_, report.step + 1, report.steps);
  }

 private:
  struct closer {
    void operator()(std::FILE* f) const noexcept { std::fclose(f); }
  };
  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    const std::string line = fmt::format(format, std::forward<Args>(args)...);
    check(std::fwrite(line.data(), 1, line.size(), file_.get()) == line.size());
  }
  void print_evaluation(double value) {
    print(",");
    if (!std::isnan(value)) print("{}", value);
  }
  void check(bool ok) const {
    if (!ok) fail<io_error>("{}: cannot write metrics: {}", path_.native(), std::strerror(errno));
  }

  std::filesystem::path path_;
  flip_rate flips_;
  std::uint32_t every_;
  evaluation evaluated_;
  std::unique_ptr<std::FILE, closer> file_;
};

}  // namespace zoqat::train

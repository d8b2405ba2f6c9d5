// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/plural.hpp>
#include <zoqat/train/trainer.hpp>

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>

namespace zoqat::inline ZOQAT_ABI::train {

/// "1 h 02 min", "3 min 05 s" or "41 s".
[[nodiscard]] inline std::string duration_text(double seconds) {
  const auto s = static_cast<std::uint64_t>(std::max(0.0, std::round(seconds)));
  if (s >= 3600) return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} s", s);
}

/// Loss (a running mean), steps per second and time left: one line that renews itself on a terminal, a plain line
/// every twentieth of the run where the output is piped.
class progress_bar {
 public:
  explicit progress_bar(std::FILE* out = stderr) : out_(out), terminal_(::isatty(::fileno(out)) != 0) {}

  void begin(std::uint32_t first, std::uint32_t steps) {
    first_ = first;
    interval_ = std::max(1u, (steps - std::min(first, steps)) / 20);
    started_ = shown_ = clock::now();
  }
  void after_step(const step_report& report) {
    if (!report.measured->rejected()) observe(report.measured->loss);
    const std::uint32_t done = report.step + 1;
    const auto now = clock::now();
    const bool last = done == report.steps;
    const bool wait = terminal_ ? now - shown_ < std::chrono::milliseconds(100) : (done - first_) % interval_ != 0;
    if (wait && !last) return;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - started_).count();
    const double rate = (done - first_) / std::max(seconds, 1e-9);
    std::string line = fmt::format("step {}/{}  loss {:.4f}  {:.1f} steps/s  {} left", done, report.steps, loss_,
                                   rate, duration_text((report.steps - done) / rate));
    if (report.rejected > 0) line += fmt::format("  {} rejected", plural(report.rejected, "step"));
    if (terminal_)
      fmt::print(out_, "\r\x1b[K{} {}", bar(done, report.steps), line);
    else
      fmt::print(out_, "{}\n", line);
    std::fflush(out_);
  }
  static constexpr bool reads_parameters(const step_report&) noexcept { return false; }
  void end() {
    if (terminal_) fmt::print(out_, "\n");
  }

 private:
  using clock = std::chrono::steady_clock;

  void observe(double loss) {
    ++seen_;
    loss_ += (loss - loss_) * std::max(0.02, 1.0 / static_cast<double>(seen_));
  }
  static std::string bar(std::uint32_t done, std::uint32_t steps) {
    constexpr std::uint32_t width = 24;
    const std::uint32_t full = steps == 0 ? width : static_cast<std::uint32_t>(std::uint64_t{width} * done / steps);
    return "[" + std::string(full, '#') + std::string(width - full, '.') + "]";
  }

  std::FILE* out_;
  bool terminal_;
  std::uint32_t first_ = 0, interval_ = 1;
  std::uint64_t seen_ = 0;
  double loss_ = 0;
  clock::time_point started_, shown_;
};

}  // namespace zoqat::train

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::bench {

/// What a figure should be: at least, or at most.
struct goal {
  std::string_view figure;
  double value;
  bool at_most = false;
};
inline constexpr std::array goals{
    goal{"gemm.w4a4.of_peak", 0.82},
    goal{"gemm.w4a4.over_sgemm", 2.9},
    goal{"gemm.w4a4.over_onednn_int8", 1.4},
    goal{"gemm.w4a4.32_tokens.of_peak", 0.65},
    goal{"gemm.w2a16.over_sgemm", 0.95},
    goal{"gemm.w4a16.over_sgemm", 0.95},
    goal{"gemm.f32.over_sgemm", 0.90},
    goal{"gemv.w4.of_bandwidth", 0.80},
    goal{"gemv.w2.of_bandwidth", 0.60},
    goal{"gemm.w4a4.two_threads", 1.85},
    goal{"direction.gaussian.over_std", 12},
    goal{"direction.rademacher.over_std", 100},
    goal{"step.lightweight.over_2_forward", 1.02, true},
    goal{"step.full.rademacher.over_2_forward", 1.10, true},
    goal{"step.full.gaussian.over_2_forward", 1.30, true},
    goal{"step.full.gaussian.4x384.over_2_forward", 1.06, true},
    goal{"step.memory.over_inference", 1.05, true},
    goal{"step.over_pytorch_mezo", 9},
    goal{"forward.share.non_gemm", 0.20, true},
};

/// Writes figures as lines `name value unit` as they come, and remembers those that have a goal.
class figures {
 public:
  /// Only names that begin with `filter`.
  explicit figures(std::string filter) : filter_(std::move(filter)) {}

  /// Whether a figure whose name begins with `prefix` may be among those wanted.
  [[nodiscard]] bool wants(std::string_view prefix) const {
    return prefix.starts_with(filter_) || std::string_view(filter_).starts_with(prefix);
  }
  /// `disturbed`: other programs were at work, and could not be kept out of the measurement.
  void add(std::string_view name, double value, std::string_view unit, bool disturbed = false) {
    if (!name.starts_with(filter_)) return;
    write("{} {:.4g} {}{}", name, value, unit, disturbed ? "  # disturbed" : "");
    for (const goal& g : goals)
      if (g.figure == name && !(g.at_most ? value <= g.value : value >= g.value)) missed_.emplace_back(g, value);
  }
  /// A figure that cannot be had here.
  void absent(std::string_view name, std::string_view why) const {
    if (name.starts_with(filter_)) write("{} n/a ({})", name, why);
  }
  /// A line that is no figure.
  void remark(std::string_view text) const { write("# {}", text); }

  /// Lists the figures that missed their goal.
  void summarize() const {
    for (const auto& [g, value] : missed_)
      write("# missed: {} {:.4g}, goal {} {:g}", g.figure, value, g.at_most ? "<=" : ">=", g.value);
    if (missed_.empty()) write("# no figure that was measured missed its goal");
  }

 private:
  template <class... Args>
  static void write(fmt::format_string<Args...> format, Args&&... args) {
    fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
    std::fflush(stdout);
  }

  std::string filter_;
  std::vector<std::pair<goal, double>> missed_;
};

}  // namespace zoqat::bench

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/running_moments.hpp>
#include <zoqat/lab/normal.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab {

/// A measured number and where the true one lies.
struct interval {
  double center = 0, low = 0, high = 0;

  [[nodiscard]] constexpr bool contains(double x) const noexcept { return low <= x && x <= high; }
  [[nodiscard]] constexpr double half_width() const noexcept { return (high - low) / 2; }
};

/// Half-widths are in standard errors. Coverage is that of the central limit theorem: it wants samples by the
/// thousand, and more where fourth moments are large (squared errors along products of Gaussians).
[[nodiscard]] inline interval mean_interval(const running_moments& m, double confidence = 0.99) noexcept {
  const double half = normal::upper_quantile((1 - confidence) / 2) * m.standard_error();
  return {m.mean(), m.mean() - half, m.mean() + half};
}

/// Intervals of many means that hold all at once with probability `confidence` or more (Bonferroni).
[[nodiscard]] inline std::vector<interval> joint_intervals(std::span<const running_moments> all,
                                                           double confidence = 0.99) {
  std::vector<interval> result;
  for (const running_moments& m : all)
    result.push_back(mean_interval(m, 1 - (1 - confidence) / static_cast<double>(all.size())));
  return result;
}

/// The Euclidean norms that a vector can have whose components lie in their intervals.
[[nodiscard]] inline interval norm_interval(std::span<const interval> components) noexcept {
  double center = 0, low = 0, high = 0;
  for (const interval& c : components) {
    const double nearest = std::clamp(0.0, c.low, c.high), furthest = std::max(std::abs(c.low), std::abs(c.high));
    center += c.center * c.center, low += nearest * nearest, high += furthest * furthest;
  }
  return {std::sqrt(center), std::sqrt(low), std::sqrt(high)};
}

}  // namespace zoqat::lab

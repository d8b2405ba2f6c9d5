// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/lab/normal.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace zoqat::inline ZOQAT_ABI::lab {

/// Rounds to multiples of a fixed step, half to even, and clamps the multiple to [low, high]; a step of 0 leaves
/// everything as it is. In double: a quantizer to reason about, not one to deploy (those are in quant/).
struct fixed_quantizer {
  double step = 0;
  double low = -std::numeric_limits<double>::infinity();  ///< integers, if bounds there are
  double high = std::numeric_limits<double>::infinity();

  [[nodiscard]] double operator()(double x) const noexcept {
    return step == 0 ? x : std::clamp(std::nearbyint(x / step), low, high) * step;
  }
  /// What the straight-through estimator takes for the derivative: 1, and 0 where it clamps.
  [[nodiscard]] double straight_through(double x) const noexcept {
    if (step == 0) return 1;
    const double code = std::nearbyint(x / step);
    return low <= code && code <= high ? 1 : 0;
  }
};

/// Q(w + εU), U ~ N(0, 1): what a perturbed weight is on average, and how that changes with w. The exact counterpart
/// of what a zeroth-order method sees of a quantizer. `square` is E Q².
struct smoothed_weight {
  double mean = 0, square = 0, mean_slope = 0, square_slope = 0;

  [[nodiscard]] double variance() const noexcept { return square - mean * mean; }
  [[nodiscard]] double variance_slope() const noexcept { return square_slope - 2 * mean * mean_slope; }

  /// From the thresholds τ within 40ε of w: Q climbs by Δ and Q² by 2τΔ on each, so that E Q' is the comb
  /// (Δ/ε)Σφ((τ − w)/ε). Without a step w + εU itself. ε > 0.
  [[nodiscard]] static smoothed_weight of(const fixed_quantizer& q, double w, double epsilon) noexcept {
    if (q.step == 0) return {w, w * w + epsilon * epsilon, 1, 2 * w};
    const double reach = 40 * epsilon / q.step + 1, center = w / q.step;
    double code = std::clamp(std::floor(center - reach), q.low, q.high);
    const double last = std::clamp(std::ceil(center + reach), q.low, q.high);
    smoothed_weight s{.mean = code * q.step, .square = code * code * q.step * q.step};
    for (; code < last; ++code) {
      const double threshold = (code + 0.5) * q.step, t = (threshold - w) / epsilon;
      const double climb = q.step * normal::upper_tail(t), slope = q.step / epsilon * normal::density(t);
      s.mean += climb;
      s.square += 2 * threshold * climb;
      s.mean_slope += slope;
      s.square_slope += 2 * threshold * slope;
    }
    return s;
  }
};

}  // namespace zoqat::lab

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cmath>
#include <numbers>

namespace zoqat::inline ZOQAT_ABI::lab::normal {

/// φ(x) of N(0, 1).
[[nodiscard]] inline double density(double x) noexcept {
  return std::exp(-x * x / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
}
/// 1 − Φ(x), to full relative precision far out in the tail.
[[nodiscard]] inline double upper_tail(double x) noexcept { return std::erfc(x / std::numbers::sqrt2) / 2; }
/// Φ(x).
[[nodiscard]] inline double below(double x) noexcept { return upper_tail(-x); }

/// The x that a standard normal exceeds with probability `tail`, in (0, 1/2]. Newton's method from 0: 1 − Φ is convex
/// there, so it climbs to the solution and never passes it.
[[nodiscard]] inline double upper_quantile(double tail) noexcept {
  double x = 0;
  for (int i = 0; i != 200; ++i) {
    const double next = x + (upper_tail(x) - tail) / density(x);
    if (!(next > x)) break;
    x = next;
  }
  return x;
}

}  // namespace zoqat::lab::normal

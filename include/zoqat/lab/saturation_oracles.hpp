// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/lab/normal.hpp>

#include <cmath>
#include <numbers>

/// Slopes that are bounded before they are used, along Gaussian directions of a linear loss with gradient g. By
/// Stein's lemma E ψ(⟨g, u⟩)u = E ψ'(⟨g, u⟩) g: any odd ψ leaves the direction of the gradient and changes its
/// length. The bias (1 − gain)‖g‖ that this makes is common to all directions; averaged over q of them only the rest
/// falls.
namespace zoqat::inline ZOQAT_ABI::lab::oracle {

namespace detail {
[[nodiscard]] constexpr double mse_of_mean(double mse, double bias, double q) noexcept {
  return (mse - bias * bias) / q + bias * bias;
}
}  // namespace detail

/// E ĝ = gain · g where projected gradients are clipped to ±c: erf(c/(√2‖g‖)), the part of them that c leaves alone.
[[nodiscard]] inline double clipped_gain(double clip, double norm) noexcept {
  return std::erf(clip / (std::numbers::sqrt2 * norm));
}
/// E‖ĝ − g‖² of the same, over q directions each of which is clipped. With a = ⟨g, u⟩/‖g‖ and t = c/‖g‖,
/// E ψ²‖u‖² = ‖g‖² E min(a², t²)(a² + d − 1).
[[nodiscard]] inline double clipped_mse(double d, double clip, double norm, double q = 1) noexcept {
  const double t = clip / norm, inside = clipped_gain(clip, norm), phi = normal::density(t);
  const double second = inside - 2 * t * phi, fourth = 3 * inside - 2 * t * (t * t + 3) * phi;  // E a², E a⁴ inside
  const double outside = t * t * ((1 - inside) * (d - 1) + 2 * t * phi + (1 - inside));
  const double one_direction = norm * norm * (fourth + (d - 1) * second + outside - 2 * inside + 1);
  return detail::mse_of_mean(one_direction, (1 - inside) * norm, q);
}

/// E ĝ = gain · g where only the signs of slopes are used: √(2/π)/‖g‖, so that E ĝ has length 0.8 whatever g is.
[[nodiscard]] inline double sign_gain(double norm) noexcept {
  return std::numbers::sqrt2 * std::numbers::inv_sqrtpi / norm;
}
/// E‖ĝ − g‖² of the same: d − 2√(2/π)‖g‖ + ‖g‖² for one direction.
[[nodiscard]] inline double sign_mse(double d, double norm, double q = 1) noexcept {
  const double gain = sign_gain(norm);
  return detail::mse_of_mean(d + norm * norm * (1 - 2 * gain), (1 - gain) * norm, q);
}

}  // namespace zoqat::lab::oracle

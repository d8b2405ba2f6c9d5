// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

/// What estimates of a gradient must measure, in closed form: ĝ = (1/q) Σ s_i u_i, where the directions u_i have mean
/// 0 and covariance 1 and s_i is the slope of the loss along u_i. Here the loss is linear and g its gradient; central
/// and forward differences, and what is made of them, then have s = ⟨g, u⟩ whatever ε. (`one_point` adds the value of
/// the loss over ε, and `leave_one_out` subtracts the other directions' slopes.) Errors are E‖ĝ − g‖².
namespace zoqat::inline ZOQAT_ABI::lab::oracle {

/// Fourth moments κ = E u⁴ of directions whose elements are independent, of variance 1.
namespace kurtosis {
inline constexpr double gaussian = 3, rademacher = 1, uniform = 9.0 / 5;
/// An element is N(0, 1/p) with probability p, else 0.
[[nodiscard]] constexpr double sparse_gaussian(double p) noexcept { return 3 / p; }
/// ±1/√p with probability p, else 0.
[[nodiscard]] constexpr double sparse_rademacher(double p) noexcept { return 1 / p; }
/// The fourth moment of the elements of a vector on the sphere of radius √d. They are not independent; see
/// `sphere_mse`.
[[nodiscard]] constexpr double sphere(double d) noexcept { return 3 * d / (d + 2); }
}  // namespace kurtosis

/// Independent elements, q independent directions: (d − 2 + κ)‖g‖² / q. From E(g·u)²‖u‖² = (d − 1 + κ)‖g‖².
[[nodiscard]] constexpr double linear_mse(double d, double fourth_moment, double squared_norm,
                                          double q = 1) noexcept {
  return (d - 2 + fourth_moment) * squared_norm / q;
}
/// u uniform on the sphere of radius √d: ‖u‖² = d has no spread, so (d − 1)‖g‖² / q, as little as Rademacher.
[[nodiscard]] constexpr double sphere_mse(double d, double squared_norm, double q = 1) noexcept {
  return (d - 1) * squared_norm / q;
}
/// q ≥ 2 independent directions of which each is compared with the mean of the others (`leave_one_out`): a sample
/// covariance of slopes and directions, (d − 2 + κ)‖g‖²/q + (d + 1)‖g‖²/(q(q − 1)); for Gaussians that is the error
/// of q − 1 averaged ones.
[[nodiscard]] constexpr double leave_one_out_mse(double d, double fourth_moment, double squared_norm,
                                                 double q) noexcept {
  return linear_mse(d, fourth_moment, squared_norm, q) + (d + 1) * squared_norm / (q * (q - 1));
}
/// q ≤ d orthogonal directions of length √d, uniformly turned: (d/q − 1)‖g‖², nothing at q = d (arXiv 2205.14737).
[[nodiscard]] constexpr double orthogonal_mse(double d, double squared_norm, double q) noexcept {
  return (d / q - 1) * squared_norm;
}
/// u = UVᵀ/√r with Gaussian U of [m, r] and V of [n, r], on an m × n matrix: (mn + 1 + 2(m + n + 1)/r)‖g‖² / q.
[[nodiscard]] constexpr double low_rank_mse(double m, double n, double r, double squared_norm,
                                            double q = 1) noexcept {
  return (m * n + 1 + 2 * (m + n + 1) / r) * squared_norm / q;
}
/// u = √(mn)/r · UΞVᵀ with orthonormal columns of U and V and Gaussian Ξ of [r, r] (SubZero):
/// (mn(1 + 2/r²) − 1)‖g‖² / q.
[[nodiscard]] constexpr double subspace_mse(double m, double n, double r, double squared_norm,
                                            double q = 1) noexcept {
  return (m * n * (1 + 2 / (r * r)) - 1) * squared_norm / q;
}

/// u = e_i/√p_i with probability p_i: (Σ g_i²/p_i − ‖g‖²) / q.
[[nodiscard]] constexpr double coordinate_mse(std::span<const double> g, std::span<const double> p,
                                              double q = 1) noexcept {
  double second = 0, squared_norm = 0;
  for (std::size_t i = 0; i != g.size(); ++i) {
    if (g[i] != 0) second += g[i] * g[i] / p[i];
    squared_norm += g[i] * g[i];
  }
  return (second - squared_norm) / q;
}
/// The probabilities of least error, p_i ∝ |g_i|, for which it is (‖g‖₁² − ‖g‖²)/q. Throws value_error where g is 0.
[[nodiscard]] inline std::vector<double> best_coordinate_probabilities(std::span<const double> g) {
  double total = 0;
  for (const double x : g) total += std::abs(x);
  require(total > 0, "best_coordinate_probabilities: the gradient is {}, so no coordinate matters more", total);
  std::vector<double> p;
  for (const double x : g) p.push_back(std::abs(x) / total);
  return p;
}

/// A group of parameters that has its own scale: how many, and the squared norm of their gradient.
struct gradient_group {
  double size = 0, squared_norm = 0;
};

/// Error of group k where group j moves by σ_j u_j: d_k Σσ_j²‖g_j‖²/σ_k² + (κ − 2)‖g_k‖², over q. What the other
/// groups add to the slope is noise to this one.
[[nodiscard]] constexpr double group_mse(std::span<const gradient_group> groups, std::span<const double> scales,
                                         std::size_t k, double fourth_moment = kurtosis::gaussian,
                                         double q = 1) noexcept {
  double power = 0;
  for (std::size_t j = 0; j != groups.size(); ++j) power += scales[j] * scales[j] * groups[j].squared_norm;
  return (groups[k].size * power / (scales[k] * scales[k]) + (fourth_moment - 2) * groups[k].squared_norm) / q;
}
/// The error of all groups together.
[[nodiscard]] constexpr double grouped_mse(std::span<const gradient_group> groups, std::span<const double> scales,
                                           double fourth_moment = kurtosis::gaussian, double q = 1) noexcept {
  double total = 0;
  for (std::size_t k = 0; k != groups.size(); ++k) total += group_mse(groups, scales, k, fourth_moment, q);
  return total;
}
/// The least that any scales can make of it, where σ_k² ∝ √d_k/‖g_k‖ (Cauchy and Schwarz):
/// ((Σ√d_k‖g_k‖)² + (κ − 2)‖g‖²)/q. `zo::best_scales` finds them.
[[nodiscard]] inline double least_grouped_mse(std::span<const gradient_group> groups,
                                              double fourth_moment = kurtosis::gaussian, double q = 1) noexcept {
  double sum = 0, squared_norm = 0;
  for (const gradient_group& group : groups) {
    sum += std::sqrt(group.size * group.squared_norm);
    squared_norm += group.squared_norm;
  }
  return (sum * sum + (fourth_moment - 2) * squared_norm) / q;
}

/// What stochastically rounded directions multiply the gradient by, where the loss is evaluated and the estimate made
/// along the same rounded direction: 1 + v, with v the mean variance of the rounding of one element. Two independent
/// roundings of one direction leave it at 1.
[[nodiscard]] constexpr double rounded_direction_gain(double rounding_variance) noexcept {
  return 1 + rounding_variance;
}
/// E‖ĝ‖² of one such direction, ((d − 1)(1 + v)² + m)‖g‖², where m is the mean product of the squares of the two
/// roundings of an element: of the one that is measured along and the one that the estimate is made along.
[[nodiscard]] constexpr double rounded_direction_second_moment(double d, double squared_norm,
                                                               double rounding_variance,
                                                               double product_of_squares) noexcept {
  const double gain = rounded_direction_gain(rounding_variance);
  return ((d - 1) * gain * gain + product_of_squares) * squared_norm;
}

}  // namespace zoqat::lab::oracle

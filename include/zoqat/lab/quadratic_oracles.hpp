// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cstddef>
#include <span>
#include <vector>

/// Curved losses. Errors E‖ĝ − g‖² of one direction, unless said; q independent ones have the q-th part.
namespace zoqat::inline ZOQAT_ABI::lab::oracle {

/// A quadratic loss f(θ + x) = value + ⟨g, x⟩ + ½ xᵀHx, as the numbers that errors depend on.
struct quadratic_loss {
  double dimension = 0;
  double value = 0;                 ///< f at the masters
  double squared_norm = 0;          ///< ‖g‖²
  double trace = 0;                 ///< tr H
  double squared_trace = 0;         ///< tr H², the sum of squares of all elements
  double squared_off_diagonal = 0;  ///< Σ_{i≠j} H_ij²

  /// The quadratic loss with a dense row-major Hessian [d, d].
  [[nodiscard]] static constexpr quadratic_loss of(double value, std::span<const double> g,
                                                   std::span<const double> hessian) noexcept {
    quadratic_loss f{.dimension = static_cast<double>(g.size()), .value = value};
    for (std::size_t i = 0; i != g.size(); ++i) {
      f.squared_norm += g[i] * g[i];
      f.trace += hessian[i * g.size() + i];
      for (std::size_t j = 0; j != g.size(); ++j) {
        const double h = hessian[i * g.size() + j];
        f.squared_trace += h * h;
        if (i != j) f.squared_off_diagonal += h * h;
      }
    }
    return f;
  }
};

/// Central differences see no curvature: the error is that of a linear loss at any ε and for any distribution that is
/// its own mirror image. This one is Gaussian: (d + 1)‖g‖².
[[nodiscard]] constexpr double central_quadratic_mse(const quadratic_loss& f) noexcept {
  return (f.dimension + 1) * f.squared_norm;
}
/// Forward differences along Gaussians add E(½ε uᵀHu)²‖u‖² = (ε²/4)(d + 4)[(tr H)² + 2 tr H²].
[[nodiscard]] constexpr double forward_curvature_mse(const quadratic_loss& f, double epsilon) noexcept {
  return epsilon * epsilon / 4 * (f.dimension + 4) * (f.trace * f.trace + 2 * f.squared_trace);
}
/// Along Rademacher directions they add (ε²/4) d [(tr H)² + 2 Σ_{i≠j} H_ij²].
[[nodiscard]] constexpr double forward_curvature_mse_rademacher(const quadratic_loss& f, double epsilon) noexcept {
  return epsilon * epsilon / 4 * f.dimension * (f.trace * f.trace + 2 * f.squared_off_diagonal);
}
[[nodiscard]] constexpr double forward_quadratic_mse(const quadratic_loss& f, double epsilon) noexcept {
  return central_quadratic_mse(f) + forward_curvature_mse(f, epsilon);
}
[[nodiscard]] constexpr double forward_quadratic_mse_rademacher(const quadratic_loss& f, double epsilon) noexcept {
  return (f.dimension - 1) * f.squared_norm + forward_curvature_mse_rademacher(f, epsilon);
}
/// One point, ĝ = f(θ + εu)u/ε, along Gaussians: the loss itself is noise, and less of it with larger ε,
/// d f²/ε² + (d + 2) f tr H + (d + 1)‖g‖² + (ε²/4)(d + 4)[(tr H)² + 2 tr H²].
[[nodiscard]] constexpr double one_point_quadratic_mse(const quadratic_loss& f, double epsilon) noexcept {
  return f.dimension * f.value * f.value / (epsilon * epsilon) + (f.dimension + 2) * f.value * f.trace +
         forward_quadratic_mse(f, epsilon);
}

/// q ≥ 2 Gaussian directions, each compared with the mean of the others (`leave_one_out`): the value and the trace
/// are common to all and drop out, what is left of the curvature is its spread, (ε²/4)[2(d + 4)/q + 2d/(q(q − 1))] tr
/// H² on top of (d + 1)‖g‖²/(q − 1). Forward differences keep (tr H)², by far the larger where many eigenvalues share
/// a sign.
[[nodiscard]] constexpr double leave_one_out_quadratic_mse(const quadratic_loss& f, double epsilon,
                                                           double q) noexcept {
  const double spread = epsilon * epsilon / 2 * f.squared_trace;
  return (f.dimension + 1) * f.squared_norm / (q - 1) +
         spread * ((f.dimension + 4) / q + f.dimension / (q * (q - 1)));
}

/// What central and forward differences add to the gradient of a loss with third derivatives T [d, d, d]: component i
/// is (ε²/6)(3 Σ_j T_ijj + (κ − 3) T_iii), which for Gaussians is (ε²/2)∇Δf, the gradient of the smoothed loss less
/// that of the loss. Exact where all fifth derivatives vanish.
[[nodiscard]] inline std::vector<double> cubic_bias(std::span<const double> third, std::size_t d, double epsilon,
                                                    double fourth_moment = 3) {
  std::vector<double> bias(d);
  for (std::size_t i = 0; i != d; ++i) {
    for (std::size_t j = 0; j != d; ++j) bias[i] += 3 * third[(i * d + j) * d + j];
    bias[i] = epsilon * epsilon / 6 * (bias[i] + (fourth_moment - 3) * third[(i * d + i) * d + i]);
  }
  return bias;
}

}  // namespace zoqat::lab::oracle

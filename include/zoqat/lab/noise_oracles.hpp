// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cmath>

/// Losses that are not the same every time. Errors are E‖ĝ − g‖² over directions and data.
namespace zoqat::inline ZOQAT_ABI::lab::oracle {

/// What independent noise of variance σ² on every evaluation adds to the error, for directions of variance 1 and one
/// direction: a pair shares the noise of two evaluations over 2ε, dσ²/2ε².
[[nodiscard]] constexpr double central_noise_mse(double d, double variance, double epsilon) noexcept {
  return d * variance / (2 * epsilon * epsilon);
}
/// `telescoping` differences of so many levels. Given its term n, a slope has the noise of a pair at ε, and 2ⁿ/p_n
/// times that of two other pairs, one of them doubled: (dσ²/2ε²)(1 + 5·4ⁿ/p_n). With p_n = (3/4)4⁻ⁿ/(1 − 4^(−levels))
/// the mean is (dσ²/2ε²)[1 + (4/9)(1 − 4^(−levels))(16^levels − 1)].
[[nodiscard]] inline double telescoping_noise_mse(double d, double variance, double epsilon, double levels) noexcept {
  const double finest = std::exp2(2 * levels);  // 4^levels
  return central_noise_mse(d, variance, epsilon) * (1 + 4.0 / 9 * (1 - 1 / finest) * (finest * finest - 1));
}
/// Two evaluations over ε: 2dσ²/ε².
[[nodiscard]] constexpr double forward_noise_mse(double d, double variance, double epsilon) noexcept {
  return 2 * d * variance / (epsilon * epsilon);
}
/// One evaluation over ε: dσ²/ε².
[[nodiscard]] constexpr double one_point_noise_mse(double d, double variance, double epsilon) noexcept {
  return d * variance / (epsilon * epsilon);
}
/// q ≥ 2 directions, each compared with the mean of the others (`leave_one_out`), all together: dσ²/(ε²(q − 1)).
[[nodiscard]] constexpr double leave_one_out_noise_mse(double d, double variance, double epsilon, double q) noexcept {
  return one_point_noise_mse(d, variance, epsilon) / (q - 1);
}

/// A linear loss whose gradient is the mean over a minibatch of `batch` samples with covariance Σ, all q directions
/// on the same minibatch: ((d − 2 + κ)/q)(‖g‖² + tr Σ/B) + tr Σ/B. More directions do not lower the last term.
[[nodiscard]] constexpr double shared_batch_mse(double d, double squared_norm, double covariance_trace, double batch,
                                                double q, double fourth_moment = 3) noexcept {
  const double of_batch = covariance_trace / batch;
  return (d - 2 + fourth_moment) / q * (squared_norm + of_batch) + of_batch;
}
/// The error where each direction has a minibatch of its own: all of it falls with q.
[[nodiscard]] constexpr double independent_batch_mse(double d, double squared_norm, double covariance_trace,
                                                     double batch, double q, double fourth_moment = 3) noexcept {
  return shared_batch_mse(d, squared_norm, covariance_trace, batch, 1, fourth_moment) / q;
}

/// SVRG, ĝ = (s(w) − s(w̃))u + ĝ(w̃), with the same direction and sample at both points and an estimate of the
/// gradient at the anchor w̃ that is independent of both: (d − 2 + κ)/q · E‖D‖² + (E‖D‖² − ‖E D‖²) + the anchor's
/// error, where D is the difference of the sample's gradients at w and w̃. The factor d falls on what changed since
/// the anchor, no longer on the gradient.
[[nodiscard]] constexpr double svrg_mse(double d, double mean_squared_difference, double squared_mean_difference,
                                        double anchor_mse, double q = 1, double fourth_moment = 3) noexcept {
  return (d - 2 + fourth_moment) / q * mean_squared_difference + (mean_squared_difference - squared_mean_difference) +
         anchor_mse;
}

}  // namespace zoqat::lab::oracle

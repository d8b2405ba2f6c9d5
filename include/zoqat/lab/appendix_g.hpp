// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/lab/normal.hpp>

#include <cmath>

/// Appendix G of the paper (arXiv 2509.00031) as functions: what it proves, where the proof needs more than it says,
/// and what holds instead. G is the Lipschitz constant of the loss, Δ the step of the quantizer, d the dimension.
///
/// Proposition 1 (i) is right: the central estimate along Gaussians is unbiased for the gradient of the smoothed
/// loss, by antithetic symmetry alone. Its Q must map to multiples of Δ, not to integers, as its Lipschitz step
/// assumes; with clipping ‖Q(x) − x‖ ≤ Δ√d/2 fails, but the bound on ‖Q(x) − Q(y)‖ that follows survives, since
/// clipping brings points no further apart. With a Δ that depends on W it does not.
namespace zoqat::inline ZOQAT_ABI::lab::appendix_g {

/// Proposition 1 (ii) as printed, [2G²d(d + 2) + G²Δ²d²/2ε²]/q. It takes the variance of a mean of q terms for 1/q of
/// that of one, which needs a minibatch for each direction; eq. 2 of the paper shares one.
[[nodiscard]] constexpr double printed_mse_bound(double lipschitz, double step, double epsilon, double d,
                                                 double q) noexcept {
  const double g2 = lipschitz * lipschitz, coarse = step / epsilon;
  return (2 * g2 * d * (d + 2) + g2 * coarse * coarse * d * d / 2) / q;
}
/// What holds where all directions share a minibatch: given the minibatch the printed bound is right, and what is
/// missing is the spread of the gradient over minibatches, Var_B ∇f_ε(W; B) = E‖∇f_ε(W; B) − ∇f_ε(W)‖².
[[nodiscard]] constexpr double shared_batch_mse_bound(double lipschitz, double step, double epsilon, double d,
                                                      double q, double gradient_variance) noexcept {
  return printed_mse_bound(lipschitz, step, epsilon, d, q) + gradient_variance;
}

/// The counterexample to (ii): d = 1, Δ = 0, L(z; b) = bz with b = ±G equally likely and shared by q directions. The
/// true gradient is 0 and ĝ = b · mean(u²), so that E ĝ² = G²(1 + 2/q). Printed is 6G²/q: equal at q = 4, exceeded
/// for every q ≥ 5.
[[nodiscard]] constexpr double counterexample_mse(double lipschitz, double q) noexcept {
  return lipschitz * lipschitz * (1 + 2 / q);
}
/// Var_B of the counterexample.
[[nodiscard]] constexpr double counterexample_gradient_variance(double lipschitz) noexcept {
  return lipschitz * lipschitz;
}

/// Lemma 1, U ~ N(0, 1) and t ≥ 0. (6): E|U|1{|U| ≥ t} = 2φ(t).
[[nodiscard]] inline double tail_mean(double t) noexcept { return 2 * normal::density(t); }
/// (7): E U²1{|U| ≥ t} = 2(tφ(t) + 1 − Φ(t)).
[[nodiscard]] inline double tail_second_moment(double t) noexcept {
  return 2 * (t * normal::density(t) + normal::upper_tail(t));
}
/// (8): P(|U| ≥ t) = 2(1 − Φ(t)).
[[nodiscard]] inline double tail_probability(double t) noexcept { return 2 * normal::upper_tail(t); }
/// Mills: 1 − Φ(t) ≤ φ(t)/t, t > 0.
[[nodiscard]] inline double mills_bound(double t) noexcept { return normal::density(t) / t; }

/// Distance from w to the nearest threshold (k + ½)Δ, in [0, Δ/2].
[[nodiscard]] inline double threshold_distance(double w, double step) noexcept {
  return std::abs(w - (std::round(w / step - 0.5) + 0.5) * step);
}
/// Lemma 2, one dimension: |∇f_ε(W)| ≤ Gφ(t)(Δ/ε + 2t + 2/t) at t = r/ε, r the distance to the nearest threshold.
/// Says nothing on a threshold, where it is infinite.
[[nodiscard]] inline double smoothed_gradient_bound(double lipschitz, double step, double epsilon,
                                                    double distance) noexcept {
  const double t = distance / epsilon;
  return lipschitz * normal::density(t) * (step / epsilon + 2 * t + 2 / t);
}
/// Proposition 2, for L = Gz: the straight-through gradient, G, is off by at least this. Below 0 it says nothing.
[[nodiscard]] inline double ste_bias_bound(double lipschitz, double step, double epsilon, double distance) noexcept {
  return lipschitz - smoothed_gradient_bound(lipschitz, step, epsilon, distance);
}
/// How far from a threshold, in ε, Proposition 2 has the bias at (1 − δ)G or more, 0 < δ < 1. The condition is
/// implicit in t. The logarithm is positive whatever t is: its argument is at least 4φ(0)/δ, at t = 1 and without a
/// step, so 1.6.
[[nodiscard]] inline bool is_far_enough(double step, double epsilon, double distance, double delta) noexcept {
  const double t = distance / epsilon;
  return t * t >= 2 * std::log((step / epsilon + 2 * t + 2 / t) * normal::density(0) / delta);
}
/// Above this ε/Δ Proposition 2 says nothing about any W: no point is further than Δ/2 from a threshold, and at
/// t = Δ/2ε its bound is G[1 − φ(t)(4t + 2/t)], positive only for t ≥ 1.45.
[[nodiscard]] inline double largest_informative_ratio() noexcept {
  double vacuous = 1, informative = 3;  // t; φ(t)(4t + 2/t) falls between them
  for (int i = 0; i != 60; ++i) {
    const double t = (vacuous + informative) / 2;
    (normal::density(t) * (4 * t + 2 / t) < 1 ? informative : vacuous) = t;
  }
  return 1 / (2 * informative);
}

}  // namespace zoqat::lab::appendix_g

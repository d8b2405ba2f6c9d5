// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/lab/normal.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

/// A linear loss of quantized parameters, L = ⟨g, Q(W)⟩, where Q rounds to multiples of a fixed Δ and does not clip.
/// What is estimated is the gradient of the smoothed loss f_ε(W) = E L(Q(W + εU)), U ~ N(0, I), which exists and is
/// exact for every ε; each coordinate depends on its own parameter alone.
namespace zoqat::inline ZOQAT_ABI::lab::oracle {

/// ∂f_ε/∂W of one coordinate with slope g: a comb of Gaussians on the thresholds τ_k = (k + ½)Δ,
/// (gΔ/ε) Σ_k φ((τ_k − W)/ε). The faster form where ε/Δ is small.
[[nodiscard]] inline double quantized_gradient_comb(double g, double w, double step, double epsilon) noexcept {
  const double nearest = std::round(w / step - 0.5), reach = std::ceil(40 * epsilon / step) + 1;
  double sum = 0;
  for (double k = nearest - reach; k <= nearest + reach; ++k)
    sum += normal::density(((k + 0.5) * step - w) / epsilon);
  return g * step / epsilon * sum;
}
/// The same derivative by Poisson's summation: g[1 + 2 Σ_m e^{−2π²m²ε²/Δ²} cos(2πm(W − τ₀)/Δ)]. The faster form where
/// ε/Δ is large, and the one that shows how soon the steps smooth out: at ε = Δ/2 within 1.5 % of g everywhere.
[[nodiscard]] inline double quantized_gradient_poisson(double g, double w, double step, double epsilon) noexcept {
  const double blur = std::numbers::pi * epsilon / step, phase = 2 * std::numbers::pi * (w / step - 0.5);
  double sum = 0;
  for (double m = 1; m * blur < 20; ++m) sum += std::exp(-2 * m * m * blur * blur) * std::cos(m * phase);
  return g * (1 + 2 * sum);
}

/// How much too long the straight-through gradient of one coordinate is, g − ∂f_ε/∂W: up to g at the center of a
/// cell, where steps hide the slope, negative near a threshold, where all of Δ is climbed at once, and below 1.5 % of
/// g everywhere from ε = Δ/2 on. `appendix_g::ste_bias_bound` is what Proposition 2 says of it.
[[nodiscard]] inline double ste_bias(double g, double w, double step, double epsilon) noexcept {
  return g - quantized_gradient_comb(g, w, step, epsilon);
}

/// Quantization's part of the error of one antithetic pair, averaged over W uniform in its cells. A coordinate moves
/// by a = 2ε|U|/Δ cells on average and so by ⌊a⌋ or ⌈a⌉ of them: the variance is h = {a}(1 − {a}). These are E h and
/// E hU², from h = 1/6 − Σ_k cos(2πka)/(πk)² term by term.
struct rounding_variance {
  double mean = 1.0 / 6, weighted = 1.0 / 6;

  [[nodiscard]] static rounding_variance at(double step, double epsilon) noexcept {
    rounding_variance h;
    for (double k = 1;; ++k) {
      const double t = 4 * std::numbers::pi * k * epsilon / step;
      if (t > 9) break;  // e^{−40} and less
      const double term = std::exp(-t * t / 2) / (std::numbers::pi * std::numbers::pi * k * k);
      h.mean -= term;
      h.weighted -= term * (1 - t * t);
    }
    return h;
  }
};

/// E‖∇f_ε(W) − g‖²/‖g‖² over W uniform in its cells: 2 Σ_m e^{−4π²m²ε²/Δ²}, the power of Poisson's waves. Directions
/// at one W share it.
[[nodiscard]] inline double smoothed_gradient_variance(double step, double epsilon) noexcept {
  const double blur = 2 * std::numbers::pi * epsilon / step;
  double sum = 0;
  for (double m = 1; m * blur < 6.5; ++m) sum += std::exp(-m * m * blur * blur);  // e^{−40} and less
  return 2 * sum;
}
/// E‖ĝ − g‖² over W uniform in its cells, over which E ĝ = g exactly, and q Gaussian directions, all at the same W:
/// ‖g‖²[(A − B)/q + B], where A = d + 1 + (Δ²/4ε²)(E hU² + (d − 1) E h) is the error of one direction and B the
/// `smoothed_gradient_variance`. More directions find ∇f_ε(W), not g: it takes a fresh W for each for A/q.
[[nodiscard]] inline double quantized_mse(double d, double squared_norm, double step, double epsilon,
                                          double q = 1) noexcept {
  const rounding_variance h = rounding_variance::at(step, epsilon);
  const double coarse = step / (2 * epsilon), shared = smoothed_gradient_variance(step, epsilon);
  const double one_direction = (d + 1) + coarse * coarse * (h.weighted + (d - 1) * h.mean);
  return squared_norm * ((one_direction - shared) / q + shared);
}
/// E‖ĝ‖² of one direction for ε well below Δ: ‖g‖²(d + 1)Δ/(ε√2π). Right but for pairs that cross two thresholds of a
/// parameter, |U| > Δ/2ε, and so up to e^{−Δ²/8ε²}; a pair that crosses one crosses it whole.
[[nodiscard]] inline double quantized_second_moment_at_small_epsilon(double d, double squared_norm, double step,
                                                                     double epsilon) noexcept {
  return squared_norm * (d + 1) * step / (epsilon * std::sqrt(2 * std::numbers::pi));
}

}  // namespace zoqat::lab::oracle

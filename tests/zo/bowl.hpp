// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zo/problems.hpp>
#include <zoqat/zo/scales/balance.hpp>

#include <cstddef>
#include <span>
#include <vector>

// A quadratic whose groups differ a thousandfold in curvature: what balanced scales are for.

namespace zoqat::zo::testing {

/// base + ½ Σ h_i (x_i − t_i)²: along a Rademacher direction the loss rises by ε² / 2 · tr(H), whichever it is.
struct bowl {
  double base;
  std::vector<double> h, t;
  double operator()(std::span<const float> x, std::size_t) const {
    double total = base;
    for (std::size_t i = 0; i != h.size(); ++i) total += h[i] * (double{x[i]} - t[i]) * (double{x[i]} - t[i]) / 2;
    return total;
  }
};

/// Weights with a trace of 3, one smoothing parameter with 400, and norms whose units make 5 of 0.2.
inline tensors three_groups() {
  tensors t;
  t.add(parameter_group::weight, std::vector<float>(6, 0.0f));
  t.add(parameter_group::smoothing, {0});
  t.add(parameter_group::norm, {0, 0}, {3, 4});
  return t;
}
inline bowl three_curvatures() {
  return {.base = 2, .h = {0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 400, 0.2, 0.2}, .t = std::vector<double>(9, 0.0)};
}

/// Enough rounds, and room enough, to get there from afar.
inline balance_options patient() {
  return {.relative_loss_increase = 0.06, .probes = 2, .rounds = 8, .first_epsilon = 0.05f, .largest_epsilon = 100};
}

}  // namespace zoqat::zo::testing

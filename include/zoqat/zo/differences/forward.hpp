// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/difference.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Forward differences L(θ + εu) − L(θ): all directions share the lane at the masters, the first, so that q of them
/// take q + 1 lanes. On a linear loss the estimate is that of central differences. Curvature stays in: a Gaussian
/// direction on a quadratic of Hessian H adds (ε²/4)(d + 4)((tr H)² + 2 tr H²) to the error, and noise of variance σ²
/// in an evaluation adds 2dσ²/ε², four times as much as to central differences.
struct forward {
  static constexpr std::size_t lanes(std::size_t directions) noexcept { return directions + 1; }
  static void place(std::span<const perturbation> along, std::span<perturbation> lanes) {
    lanes[0] = {along[0].along, {}};
    std::ranges::copy(along, lanes.begin() + 1);
  }
  static void half_differences(std::span<const perturbation>, std::span<const double> losses, std::span<double> out) {
    for (std::size_t i = 0; i != out.size(); ++i) out[i] = losses[i + 1] - losses[0];
  }
};

static_assert(difference<forward>);

}  // namespace zoqat::zo

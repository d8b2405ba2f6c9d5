// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/difference.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The loss itself at θ + εu as the slope: one lane per direction, unbiased for the same smoothed gradient as the
/// others, and all but useless by itself: on a quadratic of value f₀ its error has a term d f₀²/ε². It is what
/// remains where no two evaluations see the same data. `leave_one_out` subtracts what the other directions say of f₀.
struct one_point {
  static constexpr std::size_t lanes_of_direction = 1;
  static constexpr std::size_t lanes(std::size_t directions) noexcept { return directions; }
  static void place(std::span<const perturbation> along, std::span<perturbation> lanes) {
    std::ranges::copy(along, lanes.begin());
  }
  static void half_differences(std::span<const perturbation>, std::span<const double> losses, std::span<double> out) {
    std::ranges::copy(losses, out.begin());
  }
};

static_assert(separable_difference<one_point>);

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/perturbation.hpp>

#include <concepts>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Where a step evaluates the loss, and what that says of each of its q directions. `place` writes the `lanes(q)`
/// points for q perturbations by +ε; `half_differences` turns the losses there into q numbers in units of the loss:
/// divided by ε, each estimates the derivative along its direction.
template <class D>
concept difference = std::copyable<D> &&
                     requires(const D& d, std::size_t q, std::span<const perturbation> along,
                              std::span<perturbation> lanes, std::span<const double> losses, std::span<double> out) {
                       { d.lanes(q) } -> std::convertible_to<std::size_t>;
                       d.place(along, lanes);
                       d.half_differences(along, losses, out);
                     };

/// A difference whose directions have lanes of their own, and need no others: the half difference of direction i
/// follows from lanes [i · n, (i + 1) · n) with n = `lanes_of_direction`.
template <class D>
concept separable_difference = difference<D> && requires {
  { D::lanes_of_direction } -> std::convertible_to<std::size_t>;
};

/// How many neighboring lanes of a step belong together: those of a direction, or a single one where no direction can
/// be evaluated by itself.
template <difference D>
inline constexpr std::size_t joined_lanes = [] {
  if constexpr (separable_difference<D>)
    return D::lanes_of_direction;
  else
    return std::size_t{1};
}();

/// Central differences: the antithetic pair (+εu, −εu) of every direction. The even terms of the loss cancel, so
/// on a quadratic the estimate is exact in expectation at any ε, and noise common to both lanes drops out.
struct central {
  static constexpr std::size_t lanes_of_direction = 2;
  static constexpr std::size_t lanes(std::size_t directions) noexcept { return lanes_of_direction * directions; }
  static void place(std::span<const perturbation> along, std::span<perturbation> lanes) {
    for (std::size_t i = 0; i != along.size(); ++i) {
      lanes[2 * i] = along[i];
      lanes[2 * i + 1] = -along[i];
    }
  }
  static void half_differences(std::span<const perturbation>, std::span<const double> losses, std::span<double> out) {
    for (std::size_t i = 0; i != out.size(); ++i) out[i] = (losses[2 * i] - losses[2 * i + 1]) / 2;
  }
};

static_assert(separable_difference<central>);

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cmath>

/// Slopes divided by the spread of the losses (`normalized`), along q independent Gaussian directions of a linear
/// loss with gradient g. The spread is a multiple of ‖g‖, and all that remains of the gradient is where it points:
/// `reach` is magnitude/ε, E ĝ = length · g/‖g‖, and E‖ĝ − g‖² = E‖ĝ‖² − 2 length ‖g‖ + ‖g‖².
namespace zoqat::inline ZOQAT_ABI::lab::oracle {

namespace detail {
/// E χ of n degrees of freedom, √2 Γ((n + 1)/2)/Γ(n/2).
[[nodiscard]] inline double mean_chi(double n) noexcept {
  return std::sqrt(2.0) * std::exp(std::lgamma((n + 1) / 2) - std::lgamma(n / 2));
}
}  // namespace detail

/// Central differences: with a_i = ⟨g, u_i⟩/‖g‖ the 2q losses ±a_i have the mean 0, so that slopes over their spread
/// are √((2q − 1)/2) times a unit vector a/‖a‖. reach √((2q − 1)/2)/q · E‖a‖.
[[nodiscard]] inline double normalized_length(double reach, double q) noexcept {
  return reach * std::sqrt((2 * q - 1) / 2) / q * detail::mean_chi(q);
}
/// E‖ĝ‖² of the same: reach² (2q − 1)(q + d − 1)/2q², of which q is along g.
[[nodiscard]] constexpr double normalized_second_moment(double d, double reach, double q) noexcept {
  return reach * reach * (2 * q - 1) * (q + d - 1) / (2 * q * q);
}

/// Forward differences: the spread is the standard deviation s of q slopes a_i, which does not depend on their mean
/// ā. reach/q · ((q − 1) E s + E 1/s), for q ≥ 3.
[[nodiscard]] inline double normalized_forward_length(double reach, double q) noexcept {
  const double root = std::sqrt(q - 1), mean_spread = detail::mean_chi(q - 1) / root;
  return reach / q * ((q - 1) * mean_spread + root / detail::mean_chi(q - 2));
}
/// E‖ĝ‖² of the same, for q ≥ 4: reach²/q² [(q − 1)² + 2(q − 1) + 3r + (d − 1)(q − 1 + r)] with r = E 1/s² =
/// (q − 1)/(q − 3). With less the spread is too often all but 0 for a mean square to exist.
[[nodiscard]] constexpr double normalized_forward_second_moment(double d, double reach, double q) noexcept {
  const double n = q - 1, r = n / (q - 3);
  return reach * reach / (q * q) * (n * n + 2 * n + 3 * r + (d - 1) * (n + r));
}

}  // namespace zoqat::lab::oracle

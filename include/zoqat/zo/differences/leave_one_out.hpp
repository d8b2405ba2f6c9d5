// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/difference.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// One-point slopes with a control variate that costs no lane: from the loss along each direction the mean of the
/// losses along the others is subtracted, which knows nothing of the direction and so adds no bias where directions
/// are independent. For directions that are not, such as `orthogonal` ones, it is biased.
///
/// On a linear loss the estimate is a sample covariance of losses and directions: q Gaussian directions have exactly
/// the error of q − 1 averaged ones, (d + 1)‖g‖² / (q − 1), as `forward` has with the same number of lanes, but no
/// lane sits at the masters, where a quantized loss is another than near them.
struct leave_one_out {
  static constexpr std::size_t lanes(std::size_t directions) noexcept { return directions; }
  static void place(std::span<const perturbation> along, std::span<perturbation> lanes) {
    std::ranges::copy(along, lanes.begin());
  }
  /// Throws value_error for a single direction, which no other can be compared with.
  static void half_differences(std::span<const perturbation>, std::span<const double> losses, std::span<double> out) {
    require(losses.size() > 1, "leave_one_out: {} direction; there must be at least 2", losses.size());
    const auto n = static_cast<double>(losses.size());
    const double mean = std::accumulate(losses.begin(), losses.end(), 0.0) / n;
    for (std::size_t i = 0; i != out.size(); ++i) out[i] = (losses[i] - mean) * (n / (n - 1));
  }
};

static_assert(difference<leave_one_out>);

}  // namespace zoqat::zo

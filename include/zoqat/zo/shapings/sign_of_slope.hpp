// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/shaping.hpp>

#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Every slope becomes ±magnitude, or 0 where it is: steps of one length, one bit of information per direction. With
/// the magnitude ε, ĝ = sign(s) u; its mean for Gaussian directions on a linear loss is √(2/π) g / ‖g‖, and
/// E‖ĝ‖² = d for any distribution of unit variance and q = 1.
struct sign_of_slope {
  float magnitude = 1e-3f;  ///< in units of the loss

  void operator()(std::span<float> slopes, float) const noexcept {
    for (float& slope : slopes) slope = slope > 0 ? magnitude : slope < 0 ? -magnitude : 0.0f;
  }
};

static_assert(slope_shaping<sign_of_slope>);

}  // namespace zoqat::zo

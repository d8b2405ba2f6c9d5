// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/shaping.hpp>

#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Slopes divided by the spread of the losses, times `magnitude`: where the loss is steep steps stay short, without a
/// moment kept for each parameter. With `forward` differences, Rademacher directions and the magnitude ε this is what
/// FZOO does. Slopes become 0 where there is no spread: all lanes see the same loss, or one lane moves.
///
/// On a linear loss the spread is about ε‖g‖, so that ĝ is about g / ‖g‖ times magnitude / ε. For q Gaussian
/// directions and central differences E‖ĝ‖² = (magnitude / ε)² (2q − 1)(q + d − 1) / 2q²; `normalized_oracles.hpp`
/// has its mean, and both for forward ones.
struct normalized {
  float magnitude = 1e-3f;  ///< in units of the loss

  void operator()(std::span<float> slopes, float loss_stddev) const noexcept {
    for (float& slope : slopes) slope = loss_stddev > 0 ? magnitude * (slope / loss_stddev) : 0.0f;
  }
};

static_assert(slope_shaping<normalized>);

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/direction.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// A gradient, as what is needed to make it again: the estimate is the mean over the directions of
/// (slope[i] / epsilon[group]) · u_i, and u_i is named by (seed, step, i).
struct estimate {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  /// Perturbation scale of each group; 0 where the group did not move. Where a parameter's unit is the step Δ of its
  /// quantizer, this is ε/Δ: far below 1/3 the estimate owes more to the few codes that change than to the gradient
  /// (see `flipped_codes`).
  per_group<float> epsilon;
  std::vector<float> slope;  ///< (L⁺ − L⁻) / 2 of each direction, or what the difference makes; empty when rejected
  double loss = std::numeric_limits<double>::quiet_NaN();  ///< mean over all lanes

  /// How far micro-batches agree: the mean product of two different micro-batches' slopes, and the mean square of
  /// their mean. Their ratio estimates which part of the slope's power the data agrees on; with a single micro-batch
  /// both are the square of its slope.
  float agreed_power = 0, power = 0;

  /// How far the losses of the lanes that move lie apart: their standard deviation (n − 1), each averaged over the
  /// micro-batches. 0 for a single lane.
  float spread = 0;

  /// A loss was not finite, or beyond all floats: there is no estimate, and a step with it changes nothing.
  [[nodiscard]] bool rejected() const noexcept { return slope.empty(); }
  [[nodiscard]] direction along(std::size_t i) const noexcept { return {seed, step, static_cast<std::uint32_t>(i)}; }
  /// ⟨ĝ, u_i⟩ for a group that moved: (L⁺ − L⁻) / (2ε), eq. 2.
  [[nodiscard]] float projected_gradient(std::size_t i, parameter_group group = parameter_group::weight) const {
    return slope[i] / epsilon[group];
  }
};

}  // namespace zoqat::zo

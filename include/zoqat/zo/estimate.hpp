// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/direction.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// What a step measured: numbers only, whatever its directions are drawn from. Optimizers plan from it, callbacks
/// look at it.
struct measurement {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  /// Perturbation scale of each group; 0 where the group did not move. Where a parameter's unit is the step Δ of its
  /// quantizer, this is ε/Δ: far below 1/3 the estimate owes more to the few codes that change than to the gradient
  /// (see `flipped_codes`).
  per_group<float> epsilon{};
  /// (L⁺ − L⁻) / 2 of each direction, or what the difference makes of its losses; empty when rejected.
  std::vector<float> half_difference{};
  double loss = std::numeric_limits<double>::quiet_NaN();  ///< mean over all lanes

  /// How far micro-batches agree: `signal_power` is the mean product of two different micro-batches' half
  /// differences, `total_power` the mean square of their mean. The ratio estimates which part of the power the data
  /// agrees on; with a single micro-batch both are the square of its half difference.
  float signal_power = 0, total_power = 0;

  /// The standard deviation (n − 1) over the lanes that move of their losses, each averaged over the micro-batches. 0
  /// for a single lane.
  float loss_stddev = 0;

  /// What the losses of a step were told without: direction · micro_batches + micro-batch of each, in order.
  std::vector<std::uint32_t> absent{};

  /// A loss was not finite, or beyond all floats: there is no estimate, and a step with it changes nothing.
  [[nodiscard]] bool rejected() const noexcept { return half_difference.empty(); }
  [[nodiscard]] direction along(std::size_t i) const noexcept { return {seed, step, static_cast<std::uint32_t>(i)}; }
  /// ⟨ĝ, u_i⟩ for a group that moved: (L⁺ − L⁻) / (2ε), eq. 2 of ZeroQAT.
  [[nodiscard]] float projected_gradient(std::size_t i, parameter_group group = parameter_group::weight) const {
    return half_difference[i] / epsilon[group];
  }
};

/// A gradient, as what is needed to make it again: the mean over the directions of
/// (half_difference[i] / epsilon[group]) · u_i, where u_i is named by (seed, step, i) and drawn from `distribution`.
template <zo::distribution Distribution>
struct estimate : measurement {
  [[no_unique_address]] Distribution distribution{};
};

}  // namespace zoqat::zo

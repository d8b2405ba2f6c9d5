// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// How many weights have a code that differs between the lanes of an antithetic pair.
struct code_flips {
  std::uint64_t flipped = 0, codes = 0;
  /// 0 where there are no codes.
  [[nodiscard]] double rate() const noexcept {
    return codes == 0 ? 0.0 : static_cast<double>(flipped) / static_cast<double>(codes);
  }
};

/// Counts the weights for which the loss can tell the lanes of a pair apart: those of parameters with units whose
/// nearest multiple of the unit is another at +scale than at −scale. Where it says that hardly any is, ε is too small
/// to measure anything but the luck of a few weights near a threshold. For weights anywhere in their cells the
/// expected rate is E min(1, 2ε|u|/Δ).
///
/// The grid is the one the units are the steps of, with a zero point that is a whole number and without clipping; a
/// grid that is fitted to the perturbed weights, or moved by smoothing, is another in its last bits. Cost: one
/// generation of the direction and one reading of the masters; `pair.scale` of zero counts a group's codes only.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution, parameter_store Store>
[[nodiscard]] code_flips flipped_codes(const Distribution& distribution, const perturbation& pair,
                                       Store& parameters) {
  constexpr std::size_t at_a_time = 4096;
  code_flips result;
  buffer<float> lanes(2 * at_a_time);
  parameters.for_each_parameter([&](const parameter& p) {
    if (p.unit.empty()) return;
    const std::array scales{pair.scale[p.group], -pair.scale[p.group]};
    for (std::size_t first = 0, n; first != p.size(); first += n) {
      n = std::min(at_a_time, p.size() - first);
      read_perturbed<Kernels>(distribution, p, pair.along, scales, first, n, lanes.data());
      for (std::size_t i = 0; i != n; ++i) {
        const float per_unit = 1.0f / p.unit[(first + i) / (p.size() / p.unit.size())];
        result.flipped += round_half_even(lanes[i] * per_unit) != round_half_even(lanes[n + i] * per_unit);
      }
    }
    result.codes += p.size();
  });
  return result;
}

/// The same over all directions of an estimate, at the masters as they are now.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution, parameter_store Store>
[[nodiscard]] code_flips flipped_codes(const Distribution& distribution, const measurement& e, Store& parameters) {
  code_flips total;
  for (std::size_t i = 0; i != e.half_difference.size(); ++i) {
    const code_flips one = flipped_codes<Kernels>(distribution, perturbation{e.along(i), e.epsilon}, parameters);
    total.flipped += one.flipped;
    total.codes += one.codes;
  }
  return total;
}

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::quant {

/// A grid and the codes a weight may take on it.
struct code_grid {
  simd::grid grid;
  std::uint8_t least = 0, greatest = 0;
};

/// Which codes may stand for zero.
enum class zero_points : std::uint8_t {
  any,          ///< each of them, stored for every grid
  none,         ///< none need to: the grid has a minimum of its own, and its zero point is the code 0
  middle,       ///< 2^(bits - 1) alone, which takes no storage
  near_middle,  ///< that or the one below it: where a format stores the sign of a scale, the steps may run either way
};

/// The grid over a range that holds all of it (see simd::grid_of). Near the middle, the one of the two that has the
/// smaller steps; with a minimum, the one that begins where the range does.
[[nodiscard]] inline simd::grid grid_over(simd::range r, int bits, zero_points zeros) noexcept {
  if (zeros == zero_points::none) return {simd::grid_of(r, bits, false).scale, 0, -r.min};
  if (zeros != zero_points::near_middle) return simd::grid_of(r, bits, zeros == zero_points::middle);
  const simd::grid up = simd::grid_of(r, bits, true), down = simd::grid_of({-r.max, -r.min}, bits, true);
  return down.scale < up.scale ? simd::grid{down.scale, down.zero_point - 1} : up;
}
/// The zero point nearest to a code among those that there may be.
[[nodiscard]] inline std::int32_t allowed(std::int32_t code, int bits, zero_points zeros) noexcept {
  const std::int32_t middle = 1 << (bits - 1);
  if (zeros == zero_points::any) return code;
  if (zeros == zero_points::none) return 0;
  return zeros == zero_points::near_middle && code < middle ? middle - 1 : middle;
}

namespace detail {
[[nodiscard]] inline float sigmoid(float x) noexcept { return 1.0f / (1.0f + std::exp(-x)); }
[[nodiscard]] inline float logit(float p) noexcept { return std::log(p / (1.0f - p)); }
}  // namespace detail

/// How the grid of a channel or group follows from its weights and from learnable parameters (eq. 5). A policy gives
/// the number of its parameters per grid, whether the grid follows the range of the weights, their starting values,
/// and the grid they lead to; every parameter lives in a space without bounds (logarithm or logit), so that a step
/// can never leave its domain.
namespace clip {

/// The grid spans the range of the weights. Nothing to learn: round-to-nearest.
struct none {
  static constexpr std::size_t parameters = 0;
  static constexpr bool follows_range = true;
  static void init(simd::range, int, zero_points, float, float, float*) noexcept {}
  static code_grid grid_of(simd::range r, int bits, zero_points zeros, const float*) noexcept {
    return {grid_over(r, bits, zeros), 0, static_cast<std::uint8_t>((1 << bits) - 1)};
  }
};

/// Two factors in (0, 1) shrink the least and the greatest weight before the grid is derived (OmniQuant's learnable
/// weight clipping, which the released code uses). Parameters: the logits of the two factors.
struct range {
  static constexpr std::size_t parameters = 2;
  static constexpr bool follows_range = true;
  /// The factor of an unclipped side: as near to 1 as a logit that can still move.
  static constexpr float widest = 0.9999f;

  static void init(simd::range, int, zero_points, float min_factor, float max_factor, float* p) noexcept {
    p[0] = detail::logit(std::clamp(min_factor, 1 - widest, widest));
    p[1] = detail::logit(std::clamp(max_factor, 1 - widest, widest));
  }
  static code_grid grid_of(simd::range r, int bits, zero_points zeros, const float* p) noexcept {
    return none::grid_of({detail::sigmoid(p[0]) * r.min, detail::sigmoid(p[1]) * r.max}, bits, zeros, nullptr);
  }
};

/// Equation 5 to the letter: step size Δ, zero point z and the bounds α·Q_P and β·Q_P on the codes are learned, each
/// on its own, and no longer follow the weights. Parameters: log Δ, z, logit α, logit β. A grid with a minimum has
/// Δ·z for it, so that z is any number.
struct codes {
  static constexpr std::size_t parameters = 4;
  static constexpr bool follows_range = false;

  /// Logit of a bound at the end of the codes: it rounds to the last code at every width up to 8 bits.
  static constexpr float unclipped = 8;

  /// The parameters that lead to exactly this grid, up to the rounding of the logarithm.
  static void hold(const simd::grid& g, float* p) noexcept {
    p[0] = std::log(g.scale);
    p[1] = static_cast<float>(g.zero_point) + g.minimum / g.scale;
    p[2] = -unclipped;
    p[3] = unclipped;
  }
  static void init(simd::range r, int bits, zero_points zeros, float min_factor, float max_factor,
                   float* p) noexcept {
    hold(grid_over({min_factor * r.min, max_factor * r.max}, bits, zeros), p);
  }
  static code_grid grid_of(simd::range, int bits, zero_points zeros, const float* p) noexcept {
    const auto top = static_cast<float>((1 << bits) - 1);
    const auto code = [&](float x) {  // NaN becomes 0, as it does for weights
      return static_cast<std::uint8_t>(x > 0 ? std::min(round_half_even(x), top) : 0.0f);
    };
    const auto bound = [&](float logit) {  // beyond 7 the sigmoid rounds to an end at every width up to 8 bits
      return logit < -7 ? code(0) : logit > 7 ? code(top) : code(detail::sigmoid(logit) * top);
    };
    const std::uint8_t low = bound(p[2]), high = bound(p[3]);
    const float step = std::clamp(std::exp(p[0]), simd::minimum_scale, simd::maximum_scale);
    const float minimum = zeros == zero_points::none ? step * p[1] : 0.0f;
    return {{step, allowed(code(p[1]), bits, zeros), minimum}, std::min(low, high), std::max(low, high)};
  }
};

}  // namespace clip
}  // namespace zoqat::quant

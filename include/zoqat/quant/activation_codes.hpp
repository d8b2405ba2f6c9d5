// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::quant {

/// How activations with range `r` become codes, as a kernel takes it (simd::code_range): those of a token, or of a
/// group of one.
///
/// The greatest magnitude in a group takes the last code, 127 of 8 bits, on either side of the middle one. As in ggml
/// on x86, values are multiplied by 127 / greatest, whatever the scale becomes in storage; on Arm ggml multiplies by
/// 1 / (greatest / 127), which rounds one value in some 10⁵ to the other side. fp16_scale stores greatest / 127 to
/// nearest, subnormal numbers and infinity included, fp32_scale the reciprocal of that factor. A group of zeros has
/// scale 0.
template <class Activation>
[[nodiscard]] simd::code_range codes_of(simd::range r) noexcept {
  if constexpr (!Activation::grouped) {
    return {simd::grid_of(r, Activation::bits, Activation::symmetric), 0, (1 << Activation::bits) - 1};
  } else {
    constexpr std::int32_t middle = 1 << (Activation::bits - 1);
    constexpr auto top = static_cast<float>(middle - 1);
    const float greatest = std::max(-r.min, r.max);
    simd::code_range codes{{0, middle}, 1, 2 * middle - 1, 0, 1};
    if (greatest == 0) return codes;
    codes.inverse = std::min(top / greatest, simd::maximum_scale);
    if constexpr (std::same_as<typename Activation::scale_format, fp32_scale>)
      codes.grid.scale = 1.0f / codes.inverse;
    else
      codes.grid.scale = static_cast<float>(fp16(greatest / top));
    return codes;
  }
}

/// The sum of a group of activations with range `r` as fp16_scale_and_sum stores it: that of its codes, less the
/// middle one, times the scale before that is rounded.
template <class Activation>
  requires Activation::stores_sums
[[nodiscard]] float stored_sum(simd::range r, std::int32_t codes) noexcept {
  constexpr auto top = static_cast<float>((1 << (Activation::bits - 1)) - 1);
  return static_cast<float>(fp16(std::max(-r.min, r.max) / top * static_cast<float>(codes)));
}

}  // namespace zoqat::quant

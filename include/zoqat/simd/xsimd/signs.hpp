// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/packed_signs.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>

#include <xsimd/xsimd.hpp>

#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// scale * u[i] for the elements i … of a batch; i is a multiple of its size.
template <class Arch>
[[gnu::always_inline]] inline xsimd::batch<float, Arch> signed_scale(packed_signs u, float scale,
                                                                     std::size_t i) noexcept {
  using floats = xsimd::batch<float, Arch>;
  using words = xsimd::batch<std::uint32_t, Arch>;
  const std::size_t e = u.first + i;
  const auto row =
      words::load_unaligned(u.words + e / 512 * packed_signs::granularity + e % packed_signs::granularity);
  const words sign = (row << static_cast<int>(e / packed_signs::granularity % 32)) & words(0x80000000u);
  return bits_as<floats>(sign) ^ floats(-scale);
}

}  // namespace zoqat::simd::xsimd_detail

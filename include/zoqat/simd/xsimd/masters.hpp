// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>
#include <zoqat/simd/xsimd/rounded.hpp>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Masters of 16 and 8 bits.
template <class Arch>
struct master_kernels {
  static void widen(const bf16* x, std::size_t n, float* out) noexcept {
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) {
      at.store(xsimd::bitwise_cast<floats>(at.load(reinterpret_cast<const std::uint16_t*>(x) + i) << 16), out + i);
    });
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, bf16* out) noexcept {
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) {
      const words bits = xsimd::bitwise_cast<words>(at.load(x + i)), exponent(0x7f800000u);
      const words moved = bits + xsimd::select((bits & exponent) != exponent, at.load(noise + i), words(0u));
      const words quiet = xsimd::select((bits & words(0x7fffffffu)) > exponent, words(0x40u), words(0u));
      at.store((moved >> 16) | quiet, reinterpret_cast<std::uint16_t*>(out) + i);
    });
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, grid g,
                     std::uint8_t* codes) noexcept {
    const floats inverse(1.0f / g.scale), zero(static_cast<float>(g.zero_point));
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) {
      const auto random = xsimd::to_float(xsimd::bitwise_cast<integers>(at.load(noise + i)));
      const floats start = rounded<Arch>(random * floats(0x1p-16f)) + zero;
      const floats code = rounded<Arch>(at.load(x + i) * inverse) + start;
      const floats below = xsimd::select(code < floats(255.0f), code, floats(255.0f));
      at.store(xsimd::to_int(xsimd::select(code > floats(0.0f), below, floats(0.0f))), codes + i);
    });
  }

 private:
  using floats = xsimd::batch<float, Arch>;
  using integers = xsimd::batch<std::int32_t, Arch>;
  using words = xsimd::batch<std::uint32_t, Arch>;
};

}  // namespace zoqat::simd::xsimd_detail

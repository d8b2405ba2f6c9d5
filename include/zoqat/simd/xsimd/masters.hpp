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
      at.store(bits_as<floats>(at.load(reinterpret_cast<const std::uint16_t*>(x) + i) << 16), out + i);
    });
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, bf16* out) noexcept {
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) {
      const words bits = bits_as<words>(at.load(x + i)), exponent(0x7f800000u);
      const words moved = bits + xsimd::select((bits & exponent) != exponent, at.load(noise + i), words(0u));
      const words quiet = xsimd::select((bits & words(0x7fffffffu)) > exponent, words(0x40u), words(0u));
      at.store((moved >> 16) | quiet, reinterpret_cast<std::uint16_t*>(out) + i);
    });
  }
  static void widen(const fp16* x, std::size_t n, float* out) noexcept {
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) {
      const words half = at.load(reinterpret_cast<const std::uint16_t*>(x) + i);
      const words magnitude = half & words(0x7fffu);
      const floats small = xsimd::to_float(bits_as<integers>(magnitude)) * floats(0x1p-24f);
      const words finite =
          xsimd::select(magnitude < words(0x400u), bits_as<words>(small), (magnitude << 13) + words(rebased_half));
      const words special = xsimd::select(magnitude > words(greatest_half), words(0x7f800000u), words(0u));
      at.store(bits_as<floats>(finite | special | ((half ^ magnitude) << 16)), out + i);
    });
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, fp16* out) noexcept {
    to_fp16(x, n, out, [=](auto at, std::size_t i, const words& magnitude, const words& rebased) {
      const words odds = at.load(noise + i);
      const auto small = xsimd::to_int(bits_as<floats>(magnitude) * floats(0x1p40f));
      return fp16_parts{(bits_as<words>(small) + odds) >> 16, (rebased + (odds >> 3)) >> 13};
    });
  }
  static void narrow(const float* x, std::size_t n, fp16* out) noexcept {
    to_fp16(x, n, out, [](auto, std::size_t, const words& magnitude, const words& rebased) {
      const auto small = xsimd::nearbyint(bits_as<floats>(magnitude) * floats(0x1p24f));
      return fp16_parts{bits_as<words>(xsimd::to_int(small)),
                        (rebased + words(0xfffu) + ((rebased >> 13) & words(1u))) >> 13};
    });
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, grid g,
                     std::uint8_t* codes) noexcept {
    const floats inverse(1.0f / g.scale), zero(static_cast<float>(g.zero_point));
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) {
      const auto random = xsimd::to_float(bits_as<integers>(at.load(noise + i)));
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

  /// The bits of a magnitude in fp16: those it has where it is less than 2^-14, and where it is not.
  struct fp16_parts {
    words subnormal, normal;
  };
  /// As in the Highway backend.
  template <class Round>
  static void to_fp16(const float* x, std::size_t n, fp16* out, Round round) noexcept {
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) {
      const words bits = bits_as<words>(at.load(x + i)), magnitude = bits & words(0x7fffffffu);
      const auto is_small = magnitude < words(smallest_normal_half);
      const auto parts = round(at, i, xsimd::select(is_small, magnitude, words(0u)), magnitude - words(rebased_half));
      const words most = xsimd::select(parts.normal < words(greatest_half), parts.normal, words(greatest_half));
      const words finite = xsimd::select(is_small, parts.subnormal, most);
      const words special = xsimd::select(magnitude > words(0x7f800000u), words(0x7e00u), words(0x7c00u));
      const words half = xsimd::select(magnitude < words(0x7f800000u), finite, special);
      at.store(half | ((bits ^ magnitude) >> 16), reinterpret_cast<std::uint16_t*>(out) + i);
    });
  }
};

}  // namespace zoqat::simd::xsimd_detail

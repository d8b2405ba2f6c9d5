// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <bit>
#include <cmath>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI {

/// Keeps the compiler from contracting the rounded product `x` with a later addition into a fused
/// multiply-add. GCC contracts across statements and intrinsics by default; a run log replays bit for bit
/// on another instruction set only if every product that feeds an update is rounded on its own.
[[nodiscard]] inline float rounded(float x) noexcept {
#if defined(__x86_64__) || defined(__SSE2__)
  asm("" : "+x"(x));
#elif defined(__aarch64__)
  asm("" : "+w"(x));
#else
  asm("" : "+m"(x));
#endif
  return x;
}

/// `a + b * c` with the product rounded before the addition, on every target.
[[nodiscard]] inline float add_product(float a, float b, float c) noexcept { return a + rounded(b * c); }

/// Rounds half to even, in the rounding mode that every process starts in.
/// The one rounding rule of the library: reference, kernels and export all use it.
[[nodiscard]] inline float round_half_even(float x) noexcept { return std::nearbyint(x); }

/// Storage format brain-float: the upper half of an IEEE-754 binary32.
struct bf16 {
  std::uint16_t bits = 0;

  constexpr bf16() = default;
  /// Rounds half to even; NaN stays a (quiet) NaN.
  constexpr explicit bf16(float value) noexcept {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = is_nan ? static_cast<std::uint16_t>((u >> 16) | 0x40u)
                  : static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  [[nodiscard]] constexpr explicit operator float() const noexcept {
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
  }
  friend constexpr bool operator==(bf16, bf16) = default;
};

/// Storage format IEEE-754 binary16, converted in software: exact, and the same on every target.
struct fp16 {
  std::uint16_t bits = 0;

  constexpr fp16() = default;
  /// Rounds half to even; overflow gives infinity; NaN stays a (quiet) NaN.
  constexpr explicit fp16(float value) noexcept : bits(from_float(value)) {}
  [[nodiscard]] constexpr explicit operator float() const noexcept {
    const std::uint32_t sign = std::uint32_t{bits & 0x8000u} << 16;
    const std::uint32_t exponent = (bits >> 10) & 0x1fu;
    const std::uint32_t mantissa = bits & 0x3ffu;
    if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  friend constexpr bool operator==(fp16, fp16) = default;

 private:
  static constexpr std::uint16_t from_float(float value) noexcept {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<std::uint16_t>((u >> 16) & 0x8000u);
    const std::uint32_t magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds past 65504
    if (magnitude >= 0x38800000u) {                                                   // normal: 2^-14 and up
      const std::uint32_t rebased = magnitude - (112u << 23);
      return static_cast<std::uint16_t>(sign | ((rebased + 0xfffu + ((rebased >> 13) & 1u)) >> 13));
    }
    if (magnitude < 0x33000000u) return sign;  // below half of the smallest subnormal
    const std::uint32_t shift = 126u - (magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t half = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1u);
    const std::uint32_t middle = 1u << (shift - 1u);
    const bool up = rest > middle || (rest == middle && (half & 1u));
    return static_cast<std::uint16_t>(sign | (half + (up ? 1u : 0u)));
  }
};

static_assert(sizeof(bf16) == 2 && sizeof(fp16) == 2);

}  // namespace zoqat

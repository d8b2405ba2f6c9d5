// SPDX-License-Identifier: Apache-2.0

// Masters of 16 and 8 bits: what they stand for, and stochastic rounding back. Each is a handful of operations on a
// vector that is in the first level of the cache; a step spends more on making the bits that decide.

#if defined(ZOQAT_SIMD_HIGHWAY_MASTERS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_MASTERS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_MASTERS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_MASTERS_INL_HPP
#endif

#include <zoqat/core/numeric.hpp>
#include <zoqat/simd/highway/directions-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

struct master_kernels {
  static void widen(const bf16* x, std::size_t n, float* out) noexcept {
    constexpr tag<std::uint32_t> words;
    const auto* const halves = reinterpret_cast<const std::uint16_t*>(x);
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto word = hn::ShiftLeft<16>(hn::PromoteTo(words, at.load(halves + i)));
      at.store(hn::BitCast(tag<float>{}, word), out + i);
    });
  }

  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, bf16* out) noexcept {
    constexpr tag<std::uint32_t> words;
    auto* const halves = reinterpret_cast<std::uint16_t*>(out);
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto bits = hn::BitCast(words, at.load(x + i));
      const auto exponent = hn::Set(words, 0x7f800000u);
      const auto finite = hn::Ne(hn::And(bits, exponent), exponent);
      const auto moved = hn::Add(bits, hn::IfThenElseZero(finite, hn::PromoteTo(words, at.load(noise + i))));
      // As integers: the Ne of Highway 1.0.3 is false for NaN with AVX.
      const auto nan = hn::Gt(hn::And(bits, hn::Set(words, 0x7fffffffu)), exponent);
      const auto half = hn::Or(hn::ShiftRight<16>(moved), hn::IfThenElseZero(nan, hn::Set(words, 0x40u)));
      at.store(hn::DemoteTo(tag<std::uint16_t>{}, hn::BitCast(tag<std::int32_t>{}, half)), halves + i);
    });
  }

  static void widen(const fp16* x, std::size_t n, float* out) noexcept {
    constexpr tag<std::int32_t> d;
    const auto* const halves = reinterpret_cast<const std::uint16_t*>(x);
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto half = hn::PromoteTo(d, at.load(halves + i));
      const auto magnitude = hn::And(half, hn::Set(d, 0x7fff));
      const auto rebased = hn::Add(hn::ShiftLeft<13>(magnitude), hn::Set(d, static_cast<std::int32_t>(rebased_half)));
      // Subnormal numbers are converted as integers: a host may have switched off those of float.
      const auto small = hn::Mul(hn::ConvertTo(tag<float>{}, magnitude), hn::Set(tag<float>{}, 0x1p-24f));
      const auto finite = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0x400)), hn::BitCast(d, small), rebased);
      const auto special = hn::IfThenElseZero(hn::Gt(magnitude, hn::Set(d, 0x7bff)), hn::Set(d, 0x7f800000));
      const auto sign = hn::ShiftLeft<16>(hn::Xor(half, magnitude));
      at.store(hn::BitCast(tag<float>{}, hn::Or(hn::Or(finite, special), sign)), out + i);
    });
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, fp16* out) noexcept {
    constexpr tag<std::int32_t> d;
    constexpr tag<float> f;
    to_fp16(x, n, out, [=](auto at, std::size_t i, auto magnitude, auto rebased) HWY_ATTR {
      const auto odds = hn::PromoteTo(d, at.load(noise + i));
      const auto small = hn::ConvertTo(d, hn::Mul(hn::BitCast(f, magnitude), hn::Set(f, 0x1p40f)));
      return fp16_parts{hn::ShiftRight<16>(hn::Add(small, odds)),
                        hn::ShiftRight<13>(hn::Add(rebased, hn::ShiftRight<3>(odds)))};
    });
  }
  static void narrow(const float* x, std::size_t n, fp16* out) noexcept {
    constexpr tag<std::int32_t> d;
    constexpr tag<float> f;
    to_fp16(x, n, out, [=](auto, std::size_t, auto magnitude, auto rebased) HWY_ATTR {
      const auto small = hn::Mul(hn::BitCast(f, magnitude), hn::Set(f, 0x1p24f));  // exact, fused or not
      const auto odd = hn::And(hn::ShiftRight<13>(rebased), hn::Set(d, 1));
      return fp16_parts{hn::Sub(hn::BitCast(d, hn::Add(small, hn::Set(f, rounder))), hn::Set(d, rounder_bits)),
                        hn::ShiftRight<13>(hn::Add(hn::Add(rebased, hn::Set(d, 0xfff)), odd))};
    });
  }

  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, grid g,
                     std::uint8_t* codes) noexcept {
    constexpr tag<float> d;
    const auto inverse = hn::Set(d, 1.0f / g.scale), unit = hn::Set(d, 0x1p-16f), top = hn::Set(d, 255.0f);
    const auto zero = hn::Set(d, static_cast<float>(g.zero_point));
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto random = hn::ConvertTo(d, hn::PromoteTo(tag<std::int32_t>{}, at.load(noise + i)));
      const auto start = hn::Add(hn::Mul(random, unit), zero);  // exact, fused or not
      const auto code = hn::Add(directions::rounded(hn::Mul(at.load(x + i), inverse)), start);
      const auto inside = hn::IfThenElseZero(hn::Gt(code, hn::Zero(d)), hn::Min(code, top));
      at.store(hn::U8FromU32(hn::BitCast(tag<std::uint32_t>{}, hn::ConvertTo(tag<std::int32_t>{}, inside))),
               codes + i);
    });
  }

 private:
  /// The bits of a magnitude in fp16: those it has where it is less than 2^-14, and where it is not.
  template <class V>
  struct fp16_parts {
    V subnormal, normal;
  };
  template <class V>
  fp16_parts(V, V) -> fp16_parts<V>;

  /// Rounds to fp16: round(at, i, magnitude, rebased) rounds a magnitude below 2^-14 on the grid of 2^-24, and one
  /// above whose exponent has the bias of fp16 already.
  template <class Round>
  static HWY_INLINE void to_fp16(const float* x, std::size_t n, fp16* out, Round round) noexcept {
    constexpr tag<std::int32_t> d;
    auto* const halves = reinterpret_cast<std::uint16_t*>(out);
    for_each_vector(n, [=](auto at, std::size_t i) HWY_ATTR {
      const auto bits = hn::BitCast(d, at.load(x + i));
      const auto magnitude = hn::And(bits, hn::Set(d, 0x7fffffff));
      const auto is_small = hn::Lt(magnitude, hn::Set(d, static_cast<std::int32_t>(smallest_normal_half)));
      const auto rebased = hn::Sub(magnitude, hn::Set(d, static_cast<std::int32_t>(rebased_half)));
      const auto [subnormal, normal] = round(at, i, hn::IfThenElseZero(is_small, magnitude), rebased);
      const auto greatest = hn::Set(d, static_cast<std::int32_t>(greatest_half));
      const auto finite = hn::IfThenElse(is_small, subnormal, hn::Min(normal, greatest));
      const auto infinity = hn::Set(d, 0x7f800000);
      const auto special =
          hn::Add(hn::Set(d, 0x7c00), hn::IfThenElseZero(hn::Gt(magnitude, infinity), hn::Set(d, 0x200)));
      const auto half = hn::IfThenElse(hn::Lt(magnitude, infinity), finite, special);
      const auto sign = hn::ShiftRight<16>(hn::And(bits, hn::Set(d, static_cast<std::int32_t>(0x80000000u))));
      at.store(hn::DemoteTo(tag<std::uint16_t>{}, hn::Or(half, hn::And(sign, hn::Set(d, 0x8000)))), halves + i);
    });
  }
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

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
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

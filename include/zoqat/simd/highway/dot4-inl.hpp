// SPDX-License-Identifier: Apache-2.0

// The multiply-add of the integer products: lanes of 32 bits that hold four codes each, by the best means at hand.

#if defined(ZOQAT_SIMD_HIGHWAY_DOT4_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_DOT4_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_DOT4_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_DOT4_INL_HPP
#endif

#include <zoqat/simd/highway/vectors-inl.hpp>

#include <type_traits>

// The instructions for it are raw intrinsics, since Highway 1.0.3 has no op for any of them. Which there are depends
// on more than the target of Highway, so they too are part of the name of what uses them.
#undef ZOQAT_DOT4_VECTORS
#undef ZOQAT_DOT4_X86
#undef ZOQAT_DOT4_VNNI
#undef ZOQAT_DOT4_ARM
#undef ZOQAT_DOT4_NAMESPACE
#undef ZOQAT_DOT4_NAME
#define ZOQAT_DOT4_VECTORS (HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128)
#define ZOQAT_DOT4_X86 (HWY_ARCH_X86 && ZOQAT_DOT4_VECTORS)
#if ZOQAT_DOT4_X86 && HWY_MAX_BYTES == 64 && defined(__AVX512VNNI__)
#define ZOQAT_DOT4_VNNI 1
#elif ZOQAT_DOT4_X86 && HWY_MAX_BYTES == 32 && defined(__AVXVNNI__)
#define ZOQAT_DOT4_VNNI 1
#else
#define ZOQAT_DOT4_VNNI 0
#endif
#if HWY_ARCH_ARM_A64 && ZOQAT_DOT4_VECTORS && defined(__ARM_FEATURE_DOTPROD)
#define ZOQAT_DOT4_ARM 1
#else
#define ZOQAT_DOT4_ARM 0
#endif
#if ZOQAT_DOT4_VNNI
#define ZOQAT_DOT4_NAMESPACE with_vnni
#define ZOQAT_DOT4_NAME "+VNNI"
#elif ZOQAT_DOT4_ARM
#define ZOQAT_DOT4_NAMESPACE with_dotprod
#define ZOQAT_DOT4_NAME "+DOTPROD"
#else
#define ZOQAT_DOT4_NAMESPACE of_the_target
#define ZOQAT_DOT4_NAME ""
#endif

#if HWY_TARGET != HWY_SCALAR
HWY_BEFORE_NAMESPACE();
namespace zoqat::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE {

using sums32 = vector<std::int32_t>;
using pairs16 = hn::Vec<hn::Repartition<std::int16_t, tag<std::int32_t>>>;
using codes8 = hn::Vec<hn::Repartition<std::uint8_t, tag<std::int32_t>>>;

// A dot4 sums products of codes of ActivationBits and of WeightBits:
//   activations(v), weights(v)   bring codes into the form it multiplies, once for each load
//   accumulate(sum, a, w)        adds products; at most `steps` times in a row from zero()
//   widen(sum)                   the sum of the products of each lane's four codes
//   offset                       is taken from each code of a weight

#if ZOQAT_DOT4_X86
/// The x86 instructions multiply unsigned by signed bytes. Codes of fewer than 8 bits are both.
template <int ActivationBits, int WeightBits>
inline constexpr bool weights_are_signed = WeightBits < 8 || ActivationBits == 8;

/// Sums of neighbouring products in 16 bits.
HWY_INLINE pairs16 multiply_pairs(codes8 u, codes8 s) {
#if HWY_MAX_BYTES == 64
  return pairs16{_mm512_maddubs_epi16(u.raw, s.raw)};
#elif HWY_MAX_BYTES == 32
  return pairs16{_mm256_maddubs_epi16(u.raw, s.raw)};
#else
  return pairs16{_mm_maddubs_epi16(u.raw, s.raw)};
#endif
}

/// Adds up pairs in 16 bits: for codes so narrow that the sum of at least one pair of products fits.
template <int ActivationBits, int WeightBits>
struct pairs_dot4 {
  static constexpr std::size_t largest_pair = 2 * ((1 << ActivationBits) - 1) * ((1 << WeightBits) - 1);
  static constexpr std::size_t steps = 32767 / largest_pair;
  static constexpr std::int32_t offset = 0;

  static HWY_INLINE pairs16 zero() { return hn::Zero(hn::DFromV<pairs16>{}); }
  static HWY_INLINE codes8 activations(codes8 v) { return v; }
  static HWY_INLINE codes8 weights(codes8 v) { return v; }
  static HWY_INLINE pairs16 accumulate(pairs16 sum, codes8 a, codes8 w) {
    const auto u = weights_are_signed<ActivationBits, WeightBits> ? a : w;
    const auto s = weights_are_signed<ActivationBits, WeightBits> ? w : a;
    return in_register(hn::Add(sum, multiply_pairs(u, s)));
  }
  static HWY_INLINE sums32 widen(pairs16 sum) {
    constexpr tag<std::int32_t> d;
    auto odd = hn::Zero(d);
    const auto even = hn::ReorderWidenMulAccumulate(d, sum, hn::Set(hn::DFromV<pairs16>{}, 1), hn::Zero(d), odd);
    return hn::RearrangeToOddPlusEven(even, odd);
  }
};
#endif

#if ZOQAT_DOT4_VNNI || ZOQAT_DOT4_ARM
/// One instruction. That of x86 needs a signed operand: where both have codes of 8 bits, weights less 128.
template <int ActivationBits, int WeightBits>
struct native_dot4 {
  static constexpr std::size_t steps = std::size_t{1} << 30;
  static HWY_INLINE sums32 zero() { return hn::Zero(tag<std::int32_t>{}); }
  static HWY_INLINE codes8 activations(codes8 v) { return v; }
  static HWY_INLINE sums32 widen(sums32 sum) { return sum; }
#if ZOQAT_DOT4_ARM
  static constexpr std::int32_t offset = 0;
  static HWY_INLINE codes8 weights(codes8 v) { return v; }
  static HWY_INLINE sums32 accumulate(sums32 sum, codes8 a, codes8 w) {
    return sums32{vreinterpretq_s32_u32(vdotq_u32(vreinterpretq_u32_s32(sum.raw), a.raw, w.raw))};
  }
#else
  static constexpr std::int32_t offset = ActivationBits == 8 && WeightBits == 8 ? 128 : 0;
  static HWY_INLINE codes8 weights(codes8 v) { return hn::Xor(v, hn::Set(hn::DFromV<codes8>{}, offset)); }
  static HWY_INLINE sums32 accumulate(sums32 sum, codes8 a, codes8 w) {
    const auto u = weights_are_signed<ActivationBits, WeightBits> ? a : w;
    const auto s = weights_are_signed<ActivationBits, WeightBits> ? w : a;
#if HWY_MAX_BYTES == 64
    return in_register(sums32{_mm512_dpbusd_epi32(sum.raw, u.raw, s.raw)});
#else
    return in_register(sums32{_mm256_dpbusd_avx_epi32(sum.raw, u.raw, s.raw)});
#endif
  }
#endif
};
#endif

/// Products in 32 bits of codes widened to 16: the codes at even and at odd places of a lane, so that no code
/// crosses lanes. For all widths and targets.
struct wide_dot4 {
  static constexpr std::size_t steps = std::size_t{1} << 30;
  static constexpr std::int32_t offset = 0;
  struct sum_type {
    sums32 even, odd;
  };
  struct codes {
    pairs16 even, odd;
  };

  static HWY_INLINE sum_type zero() { return {hn::Zero(tag<std::int32_t>{}), hn::Zero(tag<std::int32_t>{})}; }
  static HWY_INLINE codes weights(codes8 v) {
    constexpr hn::DFromV<pairs16> d;
    const auto both = hn::BitCast(hn::RebindToUnsigned<decltype(d)>{}, v);
    return {hn::And(hn::BitCast(d, both), hn::Set(d, 0xff)), hn::BitCast(d, hn::ShiftRight<8>(both))};
  }
  static HWY_INLINE codes activations(codes8 v) { return weights(v); }
  static HWY_INLINE sum_type accumulate(sum_type sum, codes a, codes w) {
    constexpr tag<std::int32_t> d;
    sum.even = hn::ReorderWidenMulAccumulate(d, a.even, w.even, sum.even, sum.odd);
    sum.even = hn::ReorderWidenMulAccumulate(d, a.odd, w.odd, sum.even, sum.odd);
    return sum;
  }
  static HWY_INLINE sums32 widen(sum_type sum) { return hn::RearrangeToOddPlusEven(sum.even, sum.odd); }
};

#if ZOQAT_DOT4_VNNI || ZOQAT_DOT4_ARM
template <int ActivationBits, int WeightBits>
using dot4 = native_dot4<ActivationBits, WeightBits>;
#elif ZOQAT_DOT4_X86
template <int ActivationBits, int WeightBits>
using dot4 = std::conditional_t<pairs_dot4<ActivationBits, WeightBits>::steps != 0,
                                pairs_dot4<ActivationBits, WeightBits>, wide_dot4>;
#else
template <int ActivationBits, int WeightBits>
using dot4 = wide_dot4;
#endif

}  // namespace zoqat::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif

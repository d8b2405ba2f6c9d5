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
#define ZOQAT_DOT4_X86 (HWY_ARCH_X86 && HWY_TARGET <= HWY_SSSE3)  // Newer versions of Highway know SSE2 too.
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
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE {

using sums32 = vector<std::int32_t>;
using pairs16 = hn::Vec<hn::Repartition<std::int16_t, tag<std::int32_t>>>;
using codes8 = hn::Vec<hn::Repartition<std::uint8_t, tag<std::int32_t>>>;

// A dot4 sums products of codes of ActivationBits, unsigned, and of the signed bytes that panels hold of weights of
// WeightBits (see panel_offset):
//   activations(v), weights(v)   bring codes into the form it multiplies, once for each load
//   accumulate(sum, a, w)        adds products; at most `steps` times in a row from zero()
//   widen(sum)                   the sum of the products of each lane's four codes
//   activation_offset            is taken from each code of an activation

/// The greatest magnitude of the bytes of weights.
template <int WeightBits>
inline constexpr int largest_weight = WeightBits < 8 ? (1 << WeightBits) - 1 : 128;

#if ZOQAT_DOT4_X86
/// Sums of neighboring products in 16 bits.
HWY_INLINE pairs16 multiply_pairs(codes8 a, codes8 w) {
#if HWY_MAX_BYTES == 64
  return pairs16{_mm512_maddubs_epi16(a.raw, w.raw)};
#elif HWY_MAX_BYTES == 32
  return pairs16{_mm256_maddubs_epi16(a.raw, w.raw)};
#else
  return pairs16{_mm_maddubs_epi16(a.raw, w.raw)};
#endif
}

/// Adds up pairs in 16 bits: for codes so narrow that the sum of at least one pair of products fits.
template <int ActivationBits, int WeightBits>
struct pairs_dot4 {
  static constexpr int largest_pair = 2 * ((1 << ActivationBits) - 1) * largest_weight<WeightBits>;
  static constexpr std::size_t steps = 32767 / largest_pair;
  static constexpr std::int32_t activation_offset = 0;

  static HWY_INLINE pairs16 zero() { return hn::Zero(hn::DFromV<pairs16>{}); }
  static HWY_INLINE codes8 activations(codes8 v) { return v; }
  static HWY_INLINE codes8 weights(codes8 v) { return v; }
  static HWY_INLINE pairs16 accumulate(pairs16 sum, codes8 a, codes8 w) {
#if HWY_COMPILER_GCC_ACTUAL && HWY_TARGET <= HWY_AVX2
    // From the intrinsic GCC makes a sum in the register of the pairs, and then moves it: 0.78 of the peak, not 0.93.
    asm("vpaddw %1, %0, %0" : "+v"(sum.raw) : "v"(multiply_pairs(a, w).raw));
    return sum;
#else
    return hn::Add(sum, multiply_pairs(a, w));
#endif
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
/// One instruction for all widths. That of Arm takes two signed operands: codes of 8 bits go in less 128.
template <bool Centered>
struct native_dot4 {
  static constexpr std::size_t steps = std::size_t{1} << 30;
  static HWY_INLINE sums32 zero() { return hn::Zero(tag<std::int32_t>{}); }
  static HWY_INLINE codes8 weights(codes8 v) { return v; }
  static HWY_INLINE sums32 widen(sums32 sum) { return sum; }
#if ZOQAT_DOT4_ARM
  static constexpr std::int32_t activation_offset = Centered ? 128 : 0;
  static HWY_INLINE codes8 activations(codes8 v) {
    return Centered ? hn::Xor(v, hn::Set(hn::DFromV<codes8>{}, 128)) : v;
  }
  static HWY_INLINE sums32 accumulate(sums32 sum, codes8 a, codes8 w) {
    return sums32{vdotq_s32(sum.raw, vreinterpretq_s8_u8(a.raw), vreinterpretq_s8_u8(w.raw))};
  }
#else
  static constexpr std::int32_t activation_offset = 0;
  static HWY_INLINE codes8 activations(codes8 v) { return v; }
  static HWY_INLINE sums32 accumulate(sums32 sum, codes8 a, codes8 w) {
#if HWY_MAX_BYTES == 64
    return sums32{_mm512_dpbusd_epi32(sum.raw, a.raw, w.raw)};
#else
    return sums32{_mm256_dpbusd_avx_epi32(sum.raw, a.raw, w.raw)};
#endif
  }
#endif
};
#endif

/// Products in 32 bits of codes widened to 16: the codes at even and at odd places of a lane, so that no code
/// crosses lanes. For all widths and targets.
struct wide_dot4 {
  static constexpr std::size_t steps = std::size_t{1} << 30;
  static constexpr std::int32_t activation_offset = 0;
  struct sum_type {
    sums32 even, odd;
  };
  struct codes {
    pairs16 even, odd;
  };

  static HWY_INLINE sum_type zero() { return {hn::Zero(tag<std::int32_t>{}), hn::Zero(tag<std::int32_t>{})}; }
  static HWY_INLINE codes weights(codes8 v) {
    const auto both = hn::BitCast(hn::DFromV<pairs16>{}, v);
    return {hn::ShiftRight<8>(hn::ShiftLeft<8>(both)), hn::ShiftRight<8>(both)};
  }
  static HWY_INLINE codes activations(codes8 v) {
    constexpr hn::DFromV<pairs16> d;
    const auto both = hn::BitCast(hn::RebindToUnsigned<decltype(d)>{}, v);
    return {hn::And(hn::BitCast(d, both), hn::Set(d, 0xff)), hn::BitCast(d, hn::ShiftRight<8>(both))};
  }
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
using dot4 = native_dot4<ZOQAT_DOT4_ARM && ActivationBits == 8>;
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

// SPDX-License-Identifier: Apache-2.0
#pragma once

// Directions with xsimd: the bits of random/gaussian.hpp and random/rademacher.hpp, whose comments say how they come
// about. Everything is a template of the architecture, so that its name is part of every symbol.

#include <zoqat/core/numeric.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>
#include <zoqat/simd/xsimd/rounded.hpp>
#include <zoqat/simd/xsimd/signs.hpp>

#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

template <class Arch>
using float_batch = xsimd::batch<float, Arch>;
template <class Arch>
using word_batch = xsimd::batch<std::uint32_t, Arch>;
template <class Arch>
using wide_batch = xsimd::batch<std::uint64_t, Arch>;

/// The 64-bit products of the lower halves of 64-bit lanes, by the best instruction of the architecture. Chosen by a
/// pointer to it: the versions of xsimd have no name in common for what all architectures derive from.
template <class Arch>
[[gnu::always_inline]] inline wide_batch<Arch> multiply_lower(const wide_batch<Arch>& a, const wide_batch<Arch>& b,
                                                              const void*) noexcept {
  const wide_batch<Arch> lower(0xffffffffu);
  return (a & lower) * (b & lower);
}
#if XSIMD_WITH_SSE2
template <class Arch>
[[gnu::always_inline]] inline wide_batch<Arch> multiply_lower(const wide_batch<Arch>& a, const wide_batch<Arch>& b,
                                                              const xsimd::sse2*) noexcept {
  return _mm_mul_epu32(a, b);
}
#endif
#if XSIMD_WITH_AVX
template <class Arch>
[[gnu::always_inline]] inline wide_batch<Arch> multiply_lower(const wide_batch<Arch>& a, const wide_batch<Arch>& b,
                                                              const xsimd::avx*) noexcept {
  return _mm256_setr_m128i(_mm_mul_epu32(_mm256_castsi256_si128(a), _mm256_castsi256_si128(b)),
                           _mm_mul_epu32(_mm256_extractf128_si256(a, 1), _mm256_extractf128_si256(b, 1)));
}
#endif
#if XSIMD_WITH_AVX2
template <class Arch>
[[gnu::always_inline]] inline wide_batch<Arch> multiply_lower(const wide_batch<Arch>& a, const wide_batch<Arch>& b,
                                                              const xsimd::avx2*) noexcept {
  return _mm256_mul_epu32(a, b);
}
#endif
#if XSIMD_WITH_AVX512F
template <class Arch>
[[gnu::always_inline]] inline wide_batch<Arch> multiply_lower(const wide_batch<Arch>& a, const wide_batch<Arch>& b,
                                                              const xsimd::avx512f*) noexcept {
  return _mm512_mul_epu32(a, b);
}
#endif
#if XSIMD_WITH_NEON64
template <class Arch>
[[gnu::always_inline]] inline wide_batch<Arch> multiply_lower(const wide_batch<Arch>& a, const wide_batch<Arch>& b,
                                                              const xsimd::neon64*) noexcept {
  return vmull_u32(vmovn_u64(a), vmovn_u64(b));
}
#endif

/// The correctly rounded square root. That of xsimd 8.1 is an approximation on Arm.
template <class Arch>
[[gnu::always_inline]] inline float_batch<Arch> square_root(const float_batch<Arch>& v) noexcept {
#if XSIMD_WITH_NEON64
  return vsqrtq_f32(v);
#else
  return xsimd::sqrt(v);
#endif
}

/// Philox over a block per 64-bit lane. The words of its state are lower halves; the upper ones hold noise.
template <class Arch>
struct philox_lanes {
  using wide = wide_batch<Arch>;
  wide c0, c1, c2, c3;

  /// The state after rounds 1 and 2 of the blocks with these numbers.
  [[gnu::always_inline]] philox_lanes(const rng::philox4x32_run& run, const wide& number) noexcept {
    const wide p0 = product(rng::philox4x32::multiplier0, number);
    c1 = product(rng::philox4x32::multiplier1, (p0 >> 32) ^ wide(run.round1_c2));
    c0 = (c1 >> 32) ^ wide(run.round2_c0);
    c2 = p0 ^ wide(run.round2_c2);
    c3 = wide(0u);
  }
  [[gnu::always_inline]] void round(rng::philox4x32::key key) noexcept {
    const wide p0 = product(rng::philox4x32::multiplier0, c0);
    const wide p1 = product(rng::philox4x32::multiplier1, c2);
    c0 = (p1 >> 32) ^ (c1 ^ wide(key[0]));
    c2 = (p0 >> 32) ^ (c3 ^ wide(key[1]));
    c1 = p1;
    c3 = p0;
  }

 private:
  [[gnu::always_inline]] static wide product(std::uint32_t multiplier, const wide& c) noexcept {
    return multiply_lower<Arch>(c, wide(multiplier), static_cast<const Arch*>(nullptr));
  }
};

/// The lower halves of `even` in even lanes, of `odd` in odd ones.
template <class Arch>
[[gnu::always_inline]] inline word_batch<Arch> join(const wide_batch<Arch>& even,
                                                    const wide_batch<Arch>& odd) noexcept {
  return bits_as<word_batch<Arch>>((even & wide_batch<Arch>(0xffffffffu)) | (odd << 32));
}

/// Writes the words of as many blocks as there are lanes, from number `block` on, to `words` from lane `lane` on.
template <class Arch>
[[gnu::always_inline]] inline void generate(const rng::philox4x32_run& run, std::uint64_t block,
                                            rng::superblock_words& words, std::size_t lane) noexcept {
  using wide = wide_batch<Arch>;
  alignas(64) static constexpr std::uint64_t even_numbers[] = {0, 2, 4, 6, 8, 10, 12, 14};
  const wide number = wide(block) + wide::load_aligned(even_numbers);
  philox_lanes<Arch> even(run, number), odd(run, number + wide(1u));
  for (const auto& key : run.keys) {
    even.round(key);
    odd.round(key);
  }
  join<Arch>(even.c0, odd.c0).store_aligned(words[0].data() + lane);
  join<Arch>(even.c1, odd.c1).store_aligned(words[1].data() + lane);
  join<Arch>(even.c2, odd.c2).store_aligned(words[2].data() + lane);
  join<Arch>(even.c3, odd.c3).store_aligned(words[3].data() + lane);
}

/// The superblocks of a stream by Philox.
template <class Arch>
struct philox_by_lanes {
  rng::philox4x32_run run;
  explicit philox_by_lanes(rng::stream s) noexcept : run(s.run()) {}

  /// `rng::words_of`.
  [[gnu::always_inline]] void fill(std::uint64_t superblock, rng::superblock_words& words) const noexcept {
    for (std::size_t lane = 0; lane != rng::superblock_lanes; lane += word_batch<Arch>::size)
      generate<Arch>(run, superblock * rng::superblock_lanes + lane, words, lane);
  }
};

/// a + z * b with the product rounded.
template <class Arch>
[[gnu::always_inline]] inline float_batch<Arch> horner(const float_batch<Arch>& z, float a,
                                                       const float_batch<Arch>& b) noexcept {
  return float_batch<Arch>(a) + rounded<Arch>(z * b);
}

/// `rng::box_muller::of`: the cosines go to out[0 …], the sines to out[16 …].
template <class Arch>
[[gnu::always_inline]] inline void box_muller(const word_batch<Arch>& word, float* out) noexcept {
  namespace constants = rng::box_muller;
  using floats = float_batch<Arch>;
  using words = word_batch<Arch>;
  using integers = xsimd::batch<std::int32_t, Arch>;

  const words scaled = (word & words(constants::radius_bits)) | words(constants::radius_half);
  const floats u = xsimd::to_float(bits_as<integers>(scaled));
  const auto below = bits_as<integers>(words(constants::one) - bits_as<words>(u));
  const floats y = xsimd::to_float(below & integers(constants::mantissa_bits));
  floats q = horner<Arch>(y, constants::q3, floats(constants::q4));
  q = horner<Arch>(y, constants::q2, q);
  q = horner<Arch>(y, constants::q1, q);
  q = horner<Arch>(y, constants::q0, q);
  const floats radius = square_root<Arch>(xsimd::to_float(below) - rounded<Arch>(y * q));

  const words angle = (word & words(constants::angle_bits)) | words(constants::angle_base);
  const floats x = bits_as<floats>(angle) - floats(constants::angle_center);
  const floats z = x * x;
  const floats even = horner<Arch>(z, constants::even0, horner<Arch>(z, constants::even2, floats(constants::even4)));
  floats odd = horner<Arch>(z, constants::odd1, horner<Arch>(z, constants::odd3, floats(constants::odd5)));
  odd = rounded<Arch>(x * odd);
  const auto cosine_sign = bits_as<floats>(word & words(constants::sign));
  const auto sine_sign = bits_as<floats>(word << 31);
  ((radius * (even - odd)) ^ cosine_sign).store_unaligned(out);
  ((radius * (even + odd)) ^ sine_sign).store_unaligned(out + rng::superblock_lanes);
}

/// Elements [first, first + n) of what `Generator` makes of the stream as N(0, 1) numbers.
template <class Arch, class Generator>
void gaussian(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
  using words = word_batch<Arch>;
  const auto emit = [generator = Generator(s)](std::uint64_t superblock, std::size_t begin, std::size_t end,
                                               float* to) noexcept {
    alignas(64) rng::superblock_words bits;
    for (; begin != end; ++begin) {
      generator.fill(superblock + begin, bits);
      for (const auto& row : bits) {
        for (std::size_t lane = 0; lane != row.size(); lane += words::size)
          box_muller<Arch>(words::load_aligned(row.data() + lane), to + lane);
        to += 2 * rng::superblock_lanes;
      }
    }
  };
  rng::for_each_superblock<rng::gaussian_superblock, 1>(first, out, n, emit);
}

/// Elements [first, first + n) of the stream as +1 or -1.
template <class Arch = xsimd::default_arch>
void rademacher(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
  using words = word_batch<Arch>;
  const auto emit = [run = s.run()](std::uint64_t superblock, std::size_t begin, std::size_t end,
                                    float* to) noexcept {
    alignas(64) rng::superblock_words bits;
    for (std::size_t unit = begin; unit != end; ++unit, to += rng::rademacher_unit)
      for (std::size_t lane = 0; lane != rng::superblock_lanes; lane += words::size) {
        const std::uint64_t current = superblock + unit / rng::rademacher_units;
        if (unit == begin || unit % rng::rademacher_units == 0)
          generate<Arch>(run, current * rng::superblock_lanes + lane, bits, lane);
        const auto word = words::load_aligned(bits[unit / 32 % 4].data() + lane) << static_cast<int>(unit % 32);
        const words sign = word & words(0x80000000u);
        bits_as<float_batch<Arch>>(sign ^ words(rng::minus_one)).store_unaligned(to + lane);
      }
  };
  rng::for_each_superblock<rng::rademacher_unit, rng::rademacher_units>(first, out, n, emit);
}

/// out = x + s * u with the product rounded before the sum; out may be x.
template <class Arch = xsimd::default_arch>
void add_scaled(const float* x, const float* u, float s, float* out, std::size_t n) noexcept {
  using floats = float_batch<Arch>;
  for (; n >= floats::size; n -= floats::size, x += floats::size, u += floats::size, out += floats::size)
    (floats::load_unaligned(x) + rounded<Arch>(floats(s) * floats::load_unaligned(u))).store_unaligned(out);
  for (; n != 0; --n) *out++ = add_product(*x++, s, *u++);
}

/// The words of superblocks [superblock, superblock + count) of what `Generator` makes of the stream, row after row.
template <class Generator>
void copy_words(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
  alignas(64) rng::superblock_words bits;
  for (const Generator generator(s); count != 0; --count, ++superblock) {
    generator.fill(superblock, bits);
    for (const auto& row : bits) words = std::copy(row.begin(), row.end(), words);
  }
}

/// out[i] = x[i] + s * u[i], where u is given as signs.
template <class Arch = xsimd::default_arch>
void add_signs(const float* x, packed_signs u, float s, float* out, std::size_t n) noexcept {
  using floats = float_batch<Arch>;
  std::size_t i = 0;
  for (; n - i >= floats::size; i += floats::size)
    (floats::load_unaligned(x + i) + signed_scale<Arch>(u, s, i)).store_unaligned(out + i);
  for (; i != n; ++i) out[i] = add_product(x[i], s, u[i]);
}

}  // namespace zoqat::simd::xsimd_detail

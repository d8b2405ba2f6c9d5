// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/random/ars.hpp>
#include <zoqat/random/philox.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// What the machine can do at most, on the widest vectors that this build may use: loops of the bare instructions with
// everything in registers, and a sweep over memory. Written with intrinsics, since they are the yardstick of kernels
// that are not.

namespace zoqat::bench {

/// Bytes of the widest vector.
#if defined(__AVX512F__) && defined(__AVX512BW__)
inline constexpr std::size_t vector_size = 64;
#elif defined(__AVX2__)
inline constexpr std::size_t vector_size = 32;
#else
inline constexpr std::size_t vector_size = 16;
#endif

namespace vectors {
using floats = float __attribute__((vector_size(vector_size)));
using bytes = std::uint8_t __attribute__((vector_size(vector_size)));
using shorts = std::int16_t __attribute__((vector_size(vector_size)));
using words = std::int32_t __attribute__((vector_size(vector_size)));
using longs = std::uint64_t __attribute__((vector_size(vector_size)));
}  // namespace vectors

/// Makes the compiler forget what it knows of a value, and keep it in a register.
template <class Vector>
inline void hide(Vector& v) noexcept {
#if defined(__AVX512F__)
  asm volatile("" : "+v"(v));
#elif defined(__SSE2__)
  asm volatile("" : "+x"(v));
#elif defined(__ARM_NEON)
  asm volatile("" : "+w"(v));
#else
  asm volatile("" : "+m"(v));
#endif
}

namespace detail {

/// sums[i] = Op(sums[i], left[i % 2], right[i / 2]) over and over: enough independent sums to hide every latency, few
/// enough for the registers there are.
template <class Op, std::size_t... I>
[[gnu::noinline]] void saturate(std::size_t iterations, std::index_sequence<I...>) noexcept {
  typename Op::sum sums[sizeof...(I)]{};
  typename Op::factor left[2]{}, right[(sizeof...(I) + 1) / 2]{};
  for (; iterations != 0; --iterations) {
    (hide(left[I % 2]), ...);
    (hide(right[I / 2]), ...);
    ((sums[I] = Op::apply(sums[I], left[I % 2], right[I / 2])), ...);
  }
  (Op::keep(sums[I]), ...);
}

}  // namespace detail

/// `run(n)` executes n * Op::sums vector instructions (or pairs) of a kind, each of Op::products multiplications.
template <class Op>
struct peak {
  static constexpr double products_per_iteration = double{Op::sums} * Op::products;
  static void run(std::size_t iterations) noexcept {
    detail::saturate<Op>(iterations, std::make_index_sequence<Op::sums>{});
  }
};

struct multiply_add_op {
  using sum = vectors::floats;
  using factor = vectors::floats;
  static constexpr std::size_t sums = vector_size == 64 ? 16 : 8, products = vector_size / sizeof(float);
  static void keep(sum& s) noexcept { hide(s); }
  static sum apply(sum s, factor a, factor b) noexcept {
#if defined(__AVX512F__) && defined(__AVX512BW__)
    return (sum)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)s);
#elif defined(__AVX2__) && defined(__FMA__)
    return (sum)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)s);
#elif defined(__ARM_NEON)
    return (sum)vfmaq_f32((float32x4_t)s, (float32x4_t)a, (float32x4_t)b);
#else
    return s + a * b;
#endif
  }
};
/// Multiplications and additions of floats.
using multiply_add = peak<multiply_add_op>;

/// Unsigned times signed bytes, neighbors added to 16 bits, and 16-bit sums of those: what 4-bit products need. Void
/// where there is no such instruction.
#if defined(__SSSE3__)
struct pairwise_op {
  /// The product that was made last waits one round before it is added: 12 % more on a Zen 5 than adding it at once.
  struct sum {
    vectors::shorts total, product;
  };
  using factor = vectors::bytes;
  static constexpr std::size_t sums = vector_size == 64 ? 10 : 5, products = vector_size;
  static void keep(sum& s) noexcept { hide(s.total), hide(s.product); }
  static sum apply(sum s, factor a, factor b) noexcept {
    s.total += s.product;
#if defined(__AVX512F__) && defined(__AVX512BW__)
    s.product = (vectors::shorts)_mm512_maddubs_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    s.product = (vectors::shorts)_mm256_maddubs_epi16((__m256i)a, (__m256i)b);
#else
    s.product = (vectors::shorts)_mm_maddubs_epi16((__m128i)a, (__m128i)b);
#endif
    hide(s.product);
    return s;
  }
};
using pairwise = peak<pairwise_op>;
#else
using pairwise = void;
#endif

/// Four products of bytes added to 32 bits in one instruction; void where there is none.
#if (defined(__AVX512VNNI__) && defined(__AVX512BW__)) || (defined(__AVXVNNI__) && !defined(__AVX512BW__)) || \
    defined(__ARM_FEATURE_DOTPROD)
struct dot_op {
  using sum = vectors::words;
  using factor = vectors::bytes;
  static constexpr std::size_t sums = vector_size == 64 ? 16 : 8, products = vector_size;
  static void keep(sum& s) noexcept { hide(s); }
  static sum apply(sum s, factor a, factor b) noexcept {
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
    return (sum)_mm512_dpbusd_epi32((__m512i)s, (__m512i)a, (__m512i)b);
#elif defined(__AVXVNNI__)
    return (sum)_mm256_dpbusd_avx_epi32((__m256i)s, (__m256i)a, (__m256i)b);
#else
    return (sum)vdotq_s32((int32x4_t)s, (int8x16_t)a, (int8x16_t)b);
#endif
  }
};
using dot = peak<dot_op>;
#else
using dot = void;
#endif

/// Philox4x32-10 alone: a word of the state in each 64-bit lane, so that a product leaves its halves where the next
/// round wants them.
struct raw_philox {
  static constexpr std::size_t lanes = vector_size / 8;
  static constexpr std::size_t words_per_iteration = 2 * lanes * 4;

  /// Generates the bits of n times 2 * lanes counters, two vectors side by side.
  [[gnu::noinline]] static void run(std::size_t n) noexcept {
    vectors::longs at{}, fixed{};
    for (std::size_t i = 0; i != lanes; ++i) at[i] = i;
    for (; n != 0; --n, at += 2 * lanes) {
      hide(fixed);  // the counters share three words; rounds that follow from that alone are not the generator's
      state a{at, fixed, fixed, fixed}, b{at + lanes, fixed, fixed, fixed};
      rng::philox4x32::key key{5, 7};
#pragma GCC unroll 10
      for (int r = 0; r != rng::philox4x32::rounds; ++r, key = rng::philox4x32::next(key)) {
        a = round(a, key);
        b = round(b, key);
      }
      for (state* s : {&a, &b}) hide(s->c0), hide(s->c1), hide(s->c2), hide(s->c3);
    }
  }

 private:
  struct state {
    vectors::longs c0, c1, c2, c3;  ///< in the lower halves; the upper ones hold anything
  };
  static vectors::longs product(vectors::longs a, std::uint32_t factor) noexcept {
#if defined(__AVX512F__) && defined(__AVX512BW__)
    return (vectors::longs)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(factor));
#elif defined(__AVX2__)
    return (vectors::longs)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(factor));
#elif defined(__SSE2__)
    return (vectors::longs)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(factor));
#elif defined(__ARM_NEON)
    return (vectors::longs)vmull_n_u32(vmovn_u64((uint64x2_t)a), factor);
#else
    return (a & 0xffffffffu) * factor;
#endif
  }
  static state round(const state& s, rng::philox4x32::key key) noexcept {
    const vectors::longs p0 = product(s.c0, rng::philox4x32::multiplier0);
    const vectors::longs p1 = product(s.c2, rng::philox4x32::multiplier1);
    return {p1 >> 32 ^ s.c1 ^ key[0], p1, p0 >> 32 ^ s.c3 ^ key[1], p0};
  }
};

/// ARS4x32-7 alone: whole blocks in vectors as wide as the rounds of AES that there are; void where there are none.
#if defined(__AES__) || defined(__ARM_FEATURE_AES)
struct raw_ars {
#if defined(__AVX512F__) && defined(__VAES__)
  using blocks = vectors::bytes;
#else
  using blocks = std::uint8_t __attribute__((vector_size(16)));
#endif
  static constexpr std::size_t chains = 8, words_per_iteration = chains * sizeof(blocks) / 4;

  /// Generates the bits of n times 8 vectors of counters side by side, which count up in each of their bytes.
  [[gnu::noinline]] static void run(std::size_t n) noexcept {
    static constexpr rng::ars4x32_run counters({0, 1, 2, 3}, {5, 7, 0, 0});
    blocks keys[rng::ars4x32::rounds], at{};
    for (std::size_t r = 0; r != std::size(keys); ++r) keys[r] = repeated(counters.keys[r]);
    for (const blocks start = repeated(counters.start); n != 0; --n) {
      blocks state[chains];
#pragma GCC unroll 8
      for (blocks& b : state) b = start ^ (at += 1);
#pragma GCC unroll 8
      for (std::size_t r = 0; r + 1 != std::size(keys); ++r)
#pragma GCC unroll 8
        for (blocks& b : state) b = round(b, keys[r]);
#pragma GCC unroll 8
      for (blocks& b : state) {
        b = last_round(b, keys[rng::ars4x32::rounds - 1]);
        hide(b);
      }
    }
  }

 private:
  static blocks repeated(const rng::aes::block& block) noexcept {
    blocks all;
    for (std::size_t i = 0; i != sizeof(all) / sizeof(block); ++i)
      std::memcpy(reinterpret_cast<std::uint8_t*>(&all) + i * sizeof(block), block.data(), sizeof(block));
    return all;
  }
#if defined(__AVX512F__) && defined(__VAES__)
  static blocks round(blocks b, blocks key) noexcept {
    return (blocks)_mm512_aesenc_epi128((__m512i)b, (__m512i)key);
  }
  static blocks last_round(blocks b, blocks key) noexcept {
    return (blocks)_mm512_aesenclast_epi128((__m512i)b, (__m512i)key);
  }
#elif defined(__AES__)
  static blocks round(blocks b, blocks key) noexcept { return (blocks)_mm_aesenc_si128((__m128i)b, (__m128i)key); }
  static blocks last_round(blocks b, blocks key) noexcept {
    return (blocks)_mm_aesenclast_si128((__m128i)b, (__m128i)key);
  }
#else
  static blocks round(blocks b, blocks key) noexcept {
    return (blocks)vaesmcq_u8(vaeseq_u8((uint8x16_t)b, (uint8x16_t)blocks{})) ^ key;
  }
  static blocks last_round(blocks b, blocks key) noexcept {
    return (blocks)vaeseq_u8((uint8x16_t)b, (uint8x16_t)blocks{}) ^ key;
  }
#endif
};
#else
using raw_ars = void;
#endif

/// Reads every byte of `memory`, a multiple of 256, as four streams.
[[gnu::noinline]] inline void read_all(std::span<const std::uint8_t> memory) noexcept {
  constexpr std::size_t streams = 4, line = 64, parts = line / vector_size;
  const std::size_t part = memory.size() / streams;
  vectors::longs found[streams][parts]{};
  for (std::size_t at = 0; at != part; at += line)
    for (std::size_t s = 0; s != streams; ++s)
      for (std::size_t p = 0; p != parts; ++p) {
        vectors::longs v;
        std::memcpy(&v, memory.data() + s * part + at + p * vector_size, vector_size);
        found[s][p] |= v;
      }
  for (auto& of_stream : found)
    for (vectors::longs& v : of_stream) hide(v);
}

/// The same, shared out among the threads of an executor.
template <executor Executor>
void read_all(Executor& threads, std::span<const std::uint8_t> memory) {
  constexpr std::size_t piece = std::size_t{4} << 20;
  threads.parallel_for(memory.size() / piece, [&](std::size_t i) { read_all(memory.subspan(i * piece, piece)); });
}

}  // namespace zoqat::bench

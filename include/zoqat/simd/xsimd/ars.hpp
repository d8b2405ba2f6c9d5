// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/aes.hpp>
#include <zoqat/random/ars.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/random/superblock.hpp>

#include <cstddef>
#include <cstdint>

#if defined(__AES__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_AES)
#include <arm_neon.h>
#endif

// xsimd has no rounds of AES, and none of its architectures says whether the processor has. What generates a
// superblock is a type of its own, so that it is part of the symbols of all that is made from it.

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// The superblocks of a stream by ARS in scalar code.
struct ars_by_tables {
  rng::ars4x32_run run;
  explicit ars_by_tables(rng::stream s) noexcept : run(s.ars_run()) {}

  /// `rng::words_of`.
  void fill(std::uint64_t superblock, rng::superblock_words& words) const noexcept {
    words = rng::words_of(run, superblock);
  }
};

#if defined(__AES__) || defined(__ARM_FEATURE_AES)

/// The same by instructions, where the flags of the compilation have them: four blocks side by side, a row.
struct ars_by_instructions {
  rng::ars4x32_run run;
  [[gnu::always_inline]] explicit ars_by_instructions(rng::stream s) noexcept : run(s.ars_run()) {}

  [[gnu::always_inline]] void fill(std::uint64_t superblock, rng::superblock_words& words) const noexcept {
    auto number = static_cast<std::uint32_t>(superblock * rng::superblock_lanes);
    for (auto& row : words) {
      block state[4];
#pragma GCC unroll 4
      for (block& b : state) b = add(load(run.start), first_word(number++));
#pragma GCC unroll 8
      for (std::size_t r = 0; r + 1 != run.keys.size(); ++r)
#pragma GCC unroll 4
        for (block& b : state) b = round(b, load(run.keys[r]));
#pragma GCC unroll 4
      for (std::size_t i = 0; i != 4; ++i) store(last_round(state[i], load(run.keys.back())), row.data() + 4 * i);
    }
  }

 private:
#if defined(__AES__)
  using block = __m128i;

  [[gnu::always_inline]] static block load(const rng::aes::block& from) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.data()));
  }
  [[gnu::always_inline]] static void store(block b, std::uint32_t* to) noexcept {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), b);
  }
  [[gnu::always_inline]] static block first_word(std::uint32_t word) noexcept {
    return _mm_cvtsi32_si128(static_cast<int>(word));
  }
  [[gnu::always_inline]] static block add(block a, block b) noexcept { return _mm_xor_si128(a, b); }
  [[gnu::always_inline]] static block round(block b, block key) noexcept { return _mm_aesenc_si128(b, key); }
  [[gnu::always_inline]] static block last_round(block b, block key) noexcept { return _mm_aesenclast_si128(b, key); }
#else
  using block = uint8x16_t;

  [[gnu::always_inline]] static block load(const rng::aes::block& from) noexcept {
    return vreinterpretq_u8_u32(vld1q_u32(from.data()));
  }
  [[gnu::always_inline]] static void store(block b, std::uint32_t* to) noexcept {
    vst1q_u32(to, vreinterpretq_u32_u8(b));
  }
  [[gnu::always_inline]] static block first_word(std::uint32_t word) noexcept {
    return vreinterpretq_u8_u32(vsetq_lane_u32(word, vdupq_n_u32(0), 0));
  }
  [[gnu::always_inline]] static block add(block a, block b) noexcept { return veorq_u8(a, b); }
  // Arm's instructions add a key before they do the rest, where AES adds it after.
  [[gnu::always_inline]] static block round(block b, block key) noexcept {
    return add(vaesmcq_u8(vaeseq_u8(b, vdupq_n_u8(0))), key);
  }
  [[gnu::always_inline]] static block last_round(block b, block key) noexcept {
    return add(vaeseq_u8(b, vdupq_n_u8(0)), key);
  }
#endif
};

using default_ars = ars_by_instructions;

#else

using default_ars = ars_by_tables;

#endif

}  // namespace zoqat::simd::xsimd_detail

// SPDX-License-Identifier: Apache-2.0

// Directions with Highway: the bits of random/gaussian.hpp and random/rademacher.hpp, whose comments say how they
// come about. Like Highway's own -inl headers it is included once per target.

#if defined(ZOQAT_SIMD_HIGHWAY_DIRECTIONS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_DIRECTIONS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_DIRECTIONS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_DIRECTIONS_INL_HPP
#endif

#include <zoqat/core/numeric.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/highway/base.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

namespace directions {

namespace hn = hwy::HWY_NAMESPACE;

// At most one row of a superblock; lanes are a power of two, so that they divide it.
using f32 = hn::CappedTag<float, rng::superblock_lanes>;
using u32 = hn::RebindToUnsigned<f32>;
using i32 = hn::RebindToSigned<f32>;

/// `zoqat::rounded`, lane by lane.
template <class V>
HWY_INLINE V rounded(V v) noexcept {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  asm("" : "+m"(v));
#elif HWY_ARCH_X86
  asm("" : "+v"(v.raw));
#elif HWY_ARCH_ARM
  if constexpr (requires { v.raw; }) {
    asm("" : "+w"(v.raw));
  } else {
    asm("" : "+w"(v));
  }
#else
  asm("" : "+m"(v));
#endif
  return v;
}

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128  // there the scalar code is the fast one

using u64 = hn::Repartition<std::uint64_t, u32>;
using bits = hn::Vec<u32>;

// Philox keeps one block in a 64-bit lane, each word of its state in the lower half. The upper half is noise that
// the next product ignores, so that a round needs no shuffle.

HWY_INLINE bits multiply(std::uint32_t multiplier, bits c) noexcept {
  const u32 d;
  return hn::BitCast(d, hn::MulEven(c, hn::Set(d, multiplier)));
}
HWY_INLINE bits upper(bits product) noexcept {
  return hn::BitCast(u32(), hn::ShiftRight<32>(hn::BitCast(u64(), product)));
}
HWY_INLINE bits exclusive_or(bits c, std::uint32_t mask) noexcept { return hn::Xor(c, hn::Set(u32(), mask)); }

/// Rounds 1 and 2 of `rng::philox4x32_run`. The block's number comes in as c0.
HWY_INLINE void first_rounds(const rng::philox4x32_run& run, bits& c0, bits& c1, bits& c2, bits& c3) noexcept {
  const bits p0 = multiply(rng::philox4x32::multiplier0, c0);
  c1 = multiply(rng::philox4x32::multiplier1, exclusive_or(upper(p0), run.round1_c2));
  c0 = exclusive_or(upper(c1), run.round2_c0);
  c2 = exclusive_or(p0, run.round2_c2);
  c3 = hn::Zero(u32());
}
/// `rng::philox4x32::round`.
HWY_INLINE void round(rng::philox4x32::key key, bits& c0, bits& c1, bits& c2, bits& c3) noexcept {
  const bits p0 = multiply(rng::philox4x32::multiplier0, c0), p1 = multiply(rng::philox4x32::multiplier1, c2);
  c0 = hn::Xor(upper(p1), exclusive_or(c1, key[0]));
  c2 = hn::Xor(upper(p0), exclusive_or(c3, key[1]));
  c1 = p1;
  c3 = p0;
}
/// Joins the lower halves of even and odd lanes.
HWY_INLINE bits interleave(bits even, bits odd) noexcept {
  return hn::OddEven(hn::BitCast(u32(), hn::ShiftLeft<32>(hn::BitCast(u64(), odd))), even);
}

/// Writes the words of blocks [block, block + lanes) to lanes [lane, lane + lanes) of `words`. Even and odd blocks
/// are two chains of dependent products side by side. `between(w)` is called for w = 0 … 3 on the way, with work for
/// the gaps that they leave; the words are written after the last call.
template <class Between>
HWY_INLINE void generate(const rng::philox4x32_run& run, std::uint64_t block, rng::superblock_words& words,
                         std::size_t lane, Between between) noexcept {
  const u32 d;
  const u64 wide;
  const auto number = hn::Add(hn::ShiftLeft<1>(hn::Iota(wide, 0)), hn::Set(wide, block));
  bits a0 = hn::BitCast(d, number), a1, a2, a3;
  bits b0 = hn::BitCast(d, hn::Add(number, hn::Set(wide, 1))), b1, b2, b3;
  first_rounds(run, a0, a1, a2, a3);
  first_rounds(run, b0, b1, b2, b3);
  for (std::size_t w = 0; w != 4; ++w) {
    round(run.keys[2 * w], a0, a1, a2, a3);
    round(run.keys[2 * w], b0, b1, b2, b3);
    round(run.keys[2 * w + 1], a0, a1, a2, a3);
    round(run.keys[2 * w + 1], b0, b1, b2, b3);
    between(w);
  }
  hn::Store(interleave(a0, b0), d, words[0].data() + lane);
  hn::Store(interleave(a1, b1), d, words[1].data() + lane);
  hn::Store(interleave(a2, b2), d, words[2].data() + lane);
  hn::Store(interleave(a3, b3), d, words[3].data() + lane);
}

/// `rng::words_of`.
HWY_INLINE void fill(const rng::philox4x32_run& run, std::uint64_t superblock,
                     rng::superblock_words& words) noexcept {
  for (std::size_t lane = 0; lane < rng::superblock_lanes; lane += hn::Lanes(u32()))
    generate(run, superblock * rng::superblock_lanes + lane, words, lane, [](std::size_t) HWY_ATTR {});
}

// ARS keeps whole blocks in a vector, no more than there are instructions for: Highway's rounds on wider ones take
// the vectors apart and put them together again each time.

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
using block_words = hn::Full128<std::uint32_t>;
#else
using block_words = u32;
#endif
using block_bytes = hn::Repartition<std::uint8_t, block_words>;
using blocks = hn::Vec<block_bytes>;

/// The same block for each 128 bits.
HWY_INLINE blocks broadcast(const rng::aes::block& block) noexcept {
  return hn::BitCast(block_bytes(), hn::LoadDup128(block_words(), block.data()));
}
/// Blocks as they enter the first round: number `first` and those after it.
HWY_INLINE blocks numbered(const rng::ars4x32_run& run, std::uint64_t first) noexcept {
  const block_words d;
  alignas(16) static constexpr std::uint32_t first_word[4] = {0xffffffffu, 0, 0, 0};
  const auto number = hn::Add(hn::Set(d, static_cast<std::uint32_t>(first)), hn::ShiftRight<2>(hn::Iota(d, 0)));
  return hn::Xor(broadcast(run.start), hn::BitCast(block_bytes(), hn::And(number, hn::LoadDup128(d, first_word))));
}

/// Writes the words of a superblock of ARS, by four chains of dependent rounds side by side.
HWY_INLINE void fill(const rng::ars4x32_run& run, std::uint64_t superblock, rng::superblock_words& words) noexcept {
  constexpr std::size_t chains = 4, lanes = hn::MaxLanes(block_words()), size = sizeof(words) / sizeof(words[0][0]);
  for (std::size_t at = 0; at != size; at += chains * lanes) {
    blocks state[chains];
#pragma GCC unroll 4
    for (std::size_t i = 0; i != chains; ++i)
      state[i] = numbered(run, superblock * rng::superblock_lanes + (at + i * lanes) / 4);
#pragma GCC unroll 8
    for (std::size_t r = 0; r + 1 != run.keys.size(); ++r) {
      const blocks key = broadcast(run.keys[r]);
#pragma GCC unroll 4
      for (blocks& b : state) b = hn::AESRound(b, key);
    }
    const blocks key = broadcast(run.keys.back());
#pragma GCC unroll 4
    for (std::size_t i = 0; i != chains; ++i) {
      const std::size_t word = at + i * lanes;
      hn::Store(hn::BitCast(block_words(), hn::AESLastRound(state[i], key)), block_words(),
                words[word / rng::superblock_lanes].data() + word % rng::superblock_lanes);
    }
  }
}

using floats = hn::Vec<f32>;

/// A step of Horner's rule in each of N vectors: b = a + z * b, the product rounded.
template <std::size_t N>
HWY_INLINE void horner(const floats (&z)[N], float a, floats (&b)[N]) noexcept {
#pragma GCC unroll 4
  for (std::size_t i = 0; i != N; ++i) b[i] = hn::Add(hn::Set(f32(), a), rounded(hn::Mul(z[i], b[i])));
}

/// `rng::box_muller::of`, for lanes of N rows of a superblock: the cosines of row i go to out[32 i …], the sines
/// to out[32 i + 16 …]. Each is one long chain of operations, and four side by side take 0.8 of the time of one after
/// the other (Zen 5).
template <std::size_t N>
HWY_INLINE void box_muller(const bits (&word)[N], float* out) noexcept {
  namespace constants = rng::box_muller;
  const f32 d;
  const u32 du;
  const i32 di;
  floats below[N], y[N], q[N], x[N], z[N], even[N], odd[N];
#pragma GCC unroll 4
  for (std::size_t i = 0; i != N; ++i) {
    const auto top = hn::And(word[i], hn::Set(du, constants::radius_bits));
    const auto u = hn::ConvertTo(d, hn::BitCast(di, hn::Or(top, hn::Set(du, constants::radius_half))));
    const auto distance = hn::BitCast(di, hn::Sub(hn::Set(du, constants::one), hn::BitCast(du, u)));
    below[i] = hn::ConvertTo(d, distance);
    y[i] = hn::ConvertTo(d, hn::And(distance, hn::Set(di, constants::mantissa_bits)));
    const auto angle =
        hn::Or(hn::And(word[i], hn::Set(du, constants::angle_bits)), hn::Set(du, constants::angle_base));
    x[i] = hn::Sub(hn::BitCast(d, angle), hn::Set(d, constants::angle_center));
    z[i] = hn::Mul(x[i], x[i]);
    q[i] = hn::Set(d, constants::q4);
    even[i] = hn::Set(d, constants::even4);
    odd[i] = hn::Set(d, constants::odd5);
  }
  horner(y, constants::q3, q);
  horner(y, constants::q2, q);
  horner(z, constants::even2, even);
  horner(y, constants::q1, q);
  horner(z, constants::odd3, odd);
  horner(y, constants::q0, q);
  horner(z, constants::even0, even);
  horner(z, constants::odd1, odd);
#pragma GCC unroll 4
  for (std::size_t i = 0; i != N; ++i) {
    const auto radius = hn::Sqrt(hn::Sub(below[i], rounded(hn::Mul(y[i], q[i]))));
    const auto odd_part = rounded(hn::Mul(x[i], odd[i]));
    const auto cosine_sign = hn::BitCast(d, hn::And(word[i], hn::Set(du, constants::sign)));
    const auto sine_sign = hn::BitCast(d, hn::ShiftLeft<31>(word[i]));
    float* const to = out + 2 * i * rng::superblock_lanes;
    hn::StoreU(hn::Xor(hn::Mul(radius, hn::Sub(even[i], odd_part)), cosine_sign), d, to);
    hn::StoreU(hn::Xor(hn::Mul(radius, hn::Add(even[i], odd_part)), sine_sign), d, to + rng::superblock_lanes);
  }
}

struct emit_gaussian {
  rng::philox4x32_run run;

  /// Takes a vector of blocks at a time. While one is generated, a chain of products that waits for itself, the one
  /// before it becomes Gaussian, with as many operations that wait for little.
  void operator()(std::uint64_t superblock, std::size_t begin, std::size_t end, float* out) const noexcept {
    const u32 d;
    const std::uint64_t first = (superblock + begin) * rng::superblock_lanes;
    const std::uint64_t last = (superblock + end) * rng::superblock_lanes;
    alignas(64) rng::superblock_words words;
    const auto write = [&](std::size_t w) HWY_ATTR {
      box_muller({hn::Load(d, words[w].data())}, out + w * 2 * rng::superblock_lanes);
    };
    generate(run, first, words, 0, [](std::size_t) HWY_ATTR {});
    for (std::uint64_t block = first + hn::Lanes(d); block != last; block += hn::Lanes(d)) {
      generate(run, block, words, 0, write);
      out += hn::Lanes(d);
      if (block % rng::superblock_lanes == 0) out += rng::gaussian_superblock - rng::superblock_lanes;
    }
    for (std::size_t w = 0; w != words.size(); ++w) write(w);
  }
};

/// The same of ARS. Superblocks are generated in numbers, then they become Gaussian, long after their words were
/// written: rounds in between the operations of Box-Muller won nothing. Predicted 0.6 of the time by Philox, measured
/// 0.65 (AVX-512) and 0.70 (AVX2) on a Zen 5; two thirds or more of it is Box-Muller.
struct emit_gaussian_ars {
  rng::ars4x32_run run;

  void operator()(std::uint64_t superblock, std::size_t begin, std::size_t end, float* out) const noexcept {
    alignas(64) rng::superblock_words words[16];
    for (std::size_t n; begin != end; begin += n) {
      n = std::min(std::size(words), end - begin);
      for (std::size_t i = 0; i != n; ++i) fill(run, superblock + begin + i, words[i]);
      for (std::size_t i = 0; i != n; ++i, out += rng::gaussian_superblock) write(words[i], out);
    }
  }
  static HWY_INLINE void write(const rng::superblock_words& words, float* out) noexcept {
    const u32 d;
    for (std::size_t lane = 0; lane < rng::superblock_lanes; lane += hn::Lanes(d))
      box_muller({hn::Load(d, words[0].data() + lane), hn::Load(d, words[1].data() + lane),
                  hn::Load(d, words[2].data() + lane), hn::Load(d, words[3].data() + lane)},
                 out + lane);
  }
};

struct emit_rademacher {
  rng::philox4x32_run run;

  void operator()(std::uint64_t superblock, std::size_t begin, std::size_t end, float* out) const noexcept {
    alignas(64) rng::superblock_words words;
    for (std::size_t unit = begin, stop; unit != end; unit = stop) {
      if (unit == begin || unit % rng::rademacher_units == 0)
        fill(run, superblock + unit / rng::rademacher_units, words);
      stop = std::min(end, unit / 32 * 32 + 32);
      for (std::size_t lane = 0; lane < rng::superblock_lanes; lane += hn::Lanes(u32()))
        write(words[unit / 32 % 4].data() + lane, unit % 32, stop - unit, out + lane);
      out += (stop - unit) * rng::rademacher_unit;
    }
  }
  /// Bits [31 - first, 31 - first - count) of a vector of words, to rows of a superblock.
  static HWY_INLINE void write(const std::uint32_t* word, std::size_t first, std::size_t count, float* out) noexcept {
    const u32 d;
    bits v = hn::ShiftLeftSame(hn::Load(d, word), static_cast<int>(first));
#pragma GCC unroll 4
    for (; count != 0; --count, v = hn::Add(v, v), out += rng::rademacher_unit) {
      const auto sign = hn::And(v, hn::Set(d, 0x80000000u));
      hn::StoreU(hn::BitCast(f32(), hn::Xor(sign, hn::Set(d, rng::minus_one))), f32(), out);
    }
  }
};

#endif

}  // namespace directions

/// Elements [first, first + n) of the stream as N(0, 1) numbers.
inline void gaussian(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  rng::gaussian(s, first, {out, n});
#else
  rng::for_each_superblock<rng::gaussian_superblock, 1>(first, out, n, directions::emit_gaussian{s.run()});
#endif
}

/// Elements [first, first + n) of the stream as N(0, 1) numbers, made from the bits of ARS.
inline void gaussian_ars(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  rng::gaussian_ars(s, first, {out, n});
#else
  rng::for_each_superblock<rng::gaussian_superblock, 1>(first, out, n, directions::emit_gaussian_ars{s.ars_run()});
#endif
}

/// Elements [first, first + n) of the stream as +1 or -1.
inline void rademacher(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  rng::rademacher(s, first, {out, n});
#else
  rng::for_each_superblock<rng::rademacher_unit, rng::rademacher_units>(first, out, n,
                                                                        directions::emit_rademacher{s.run()});
#endif
}

/// out = x + s * u with the product rounded before the sum; out may be x.
inline void add_scaled(const float* x, const float* u, float s, float* out, std::size_t n) noexcept {
  namespace hn = hwy::HWY_NAMESPACE;
  const directions::f32 d;
  const auto scale = hn::Set(d, s);
  for (; n >= hn::Lanes(d); n -= hn::Lanes(d), x += hn::Lanes(d), u += hn::Lanes(d), out += hn::Lanes(d))
    hn::StoreU(hn::Add(hn::LoadU(d, x), directions::rounded(hn::Mul(scale, hn::LoadU(d, u)))), d, out);
  for (; n != 0; --n) *out++ = add_product(*x++, s, *u++);
}

namespace directions {

/// The words of superblocks [superblock, superblock + count) of a run of either generator, row after row.
template <class Run>
HWY_INLINE void copy_words(const Run& run, std::uint64_t superblock, std::size_t count,
                           std::uint32_t* words) noexcept {
  alignas(64) rng::superblock_words rows;
  for (; count != 0; --count, ++superblock, words += sizeof(rows) / sizeof(*words)) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
    rows = rng::words_of(run, superblock);
#else
    fill(run, superblock, rows);
#endif
    std::memcpy(words, rows.data(), sizeof(rows));
  }
}

}  // namespace directions

/// The words of superblocks [superblock, superblock + count) of `rademacher`.
inline void rademacher_words(rng::stream s, std::uint64_t superblock, std::size_t count,
                             std::uint32_t* words) noexcept {
  directions::copy_words(s.run(), superblock, count, words);
}

/// The words of superblocks [superblock, superblock + count) of `gaussian_ars`.
inline void ars_words(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
  directions::copy_words(s.ars_run(), superblock, count, words);
}

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

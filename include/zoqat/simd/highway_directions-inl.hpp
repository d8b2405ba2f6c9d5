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
#include <zoqat/core/sign_run.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/highway_base.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace zoqat::simd::HWY_NAMESPACE {

namespace directions {

namespace hn = hwy::HWY_NAMESPACE;

// At most one row of a superblock; lanes are a power of two, so that they divide it.
using f32 = hn::CappedTag<float, random::superblock_lanes>;
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

/// Rounds 1 and 2 of `random::philox4x32_run`. The block's number comes in as c0.
HWY_INLINE void first_rounds(const random::philox4x32_run& run, bits& c0, bits& c1, bits& c2, bits& c3) noexcept {
  const bits p0 = multiply(random::philox4x32::multiplier0, c0);
  c1 = multiply(random::philox4x32::multiplier1, exclusive_or(upper(p0), run.round1_c2));
  c0 = exclusive_or(upper(c1), run.round2_c0);
  c2 = exclusive_or(p0, run.round2_c2);
  c3 = hn::Zero(u32());
}
/// `random::philox4x32::round`.
HWY_INLINE void round(random::philox4x32::key key, bits& c0, bits& c1, bits& c2, bits& c3) noexcept {
  const bits p0 = multiply(random::philox4x32::multiplier0, c0), p1 = multiply(random::philox4x32::multiplier1, c2);
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
HWY_INLINE void generate(const random::philox4x32_run& run, std::uint64_t block, random::superblock_words& words,
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

/// `random::box_muller::of`: the cosines go to out[0 …], the sines to out[16 …].
HWY_INLINE void box_muller(bits word, float* out) noexcept {
  namespace constants = random::box_muller;
  const f32 d;
  const u32 du;
  const i32 di;
  const auto scaled = hn::Or(hn::And(word, hn::Set(du, constants::radius_bits)), hn::Set(du, constants::radius_half));
  const auto u = hn::ConvertTo(d, hn::BitCast(di, scaled));
  const auto below = hn::BitCast(di, hn::Sub(hn::Set(du, constants::one), hn::BitCast(du, u)));
  const auto y = hn::ConvertTo(d, hn::And(below, hn::Set(di, constants::mantissa_bits)));
  auto q = hn::Add(hn::Set(d, constants::q3), rounded(hn::Mul(y, hn::Set(d, constants::q4))));
  q = hn::Add(hn::Set(d, constants::q2), rounded(hn::Mul(y, q)));
  q = hn::Add(hn::Set(d, constants::q1), rounded(hn::Mul(y, q)));
  q = hn::Add(hn::Set(d, constants::q0), rounded(hn::Mul(y, q)));
  const auto radius = hn::Sqrt(hn::Sub(hn::ConvertTo(d, below), rounded(hn::Mul(y, q))));

  const auto angle = hn::Or(hn::And(word, hn::Set(du, constants::angle_bits)), hn::Set(du, constants::angle_base));
  const auto x = hn::Sub(hn::BitCast(d, angle), hn::Set(d, constants::angle_center));
  const auto z = hn::Mul(x, x);
  auto even = hn::Add(hn::Set(d, constants::even2), rounded(hn::Mul(z, hn::Set(d, constants::even4))));
  even = hn::Add(hn::Set(d, constants::even0), rounded(hn::Mul(z, even)));
  auto odd = hn::Add(hn::Set(d, constants::odd3), rounded(hn::Mul(z, hn::Set(d, constants::odd5))));
  odd = hn::Add(hn::Set(d, constants::odd1), rounded(hn::Mul(z, odd)));
  odd = rounded(hn::Mul(x, odd));
  const auto cosine_sign = hn::BitCast(d, hn::And(word, hn::Set(du, constants::sign)));
  const auto sine_sign = hn::BitCast(d, hn::ShiftLeft<31>(word));
  hn::StoreU(hn::Xor(hn::Mul(radius, hn::Sub(even, odd)), cosine_sign), d, out);
  hn::StoreU(hn::Xor(hn::Mul(radius, hn::Add(even, odd)), sine_sign), d, out + random::superblock_lanes);
}

struct emit_gaussian {
  random::philox4x32_run run;

  /// Takes a vector of blocks at a time. While one is generated, a chain of products that waits for itself, the one
  /// before it becomes Gaussian, with as many operations that wait for little.
  void operator()(std::uint64_t superblock, std::size_t begin, std::size_t end, float* out) const noexcept {
    const u32 d;
    const std::uint64_t first = (superblock + begin) * random::superblock_lanes;
    const std::uint64_t last = (superblock + end) * random::superblock_lanes;
    alignas(64) random::superblock_words words;
    const auto write = [&](std::size_t w) HWY_ATTR {
      box_muller(hn::Load(d, words[w].data()), out + w * 2 * random::superblock_lanes);
    };
    generate(run, first, words, 0, [](std::size_t) HWY_ATTR {});
    for (std::uint64_t block = first + hn::Lanes(d); block != last; block += hn::Lanes(d)) {
      generate(run, block, words, 0, write);
      out += hn::Lanes(d);
      if (block % random::superblock_lanes == 0) out += random::gaussian_superblock - random::superblock_lanes;
    }
    for (std::size_t w = 0; w != words.size(); ++w) write(w);
  }
};

struct emit_rademacher {
  random::philox4x32_run run;

  void operator()(std::uint64_t superblock, std::size_t begin, std::size_t end, float* out) const noexcept {
    alignas(64) random::superblock_words words;
    for (std::size_t unit = begin, stop; unit != end; unit = stop) {
      if (unit == begin || unit % random::rademacher_units == 0)
        fill(superblock + unit / random::rademacher_units, words);
      stop = std::min(end, unit / 32 * 32 + 32);
      for (std::size_t lane = 0; lane < random::superblock_lanes; lane += hn::Lanes(u32()))
        write(words[unit / 32 % 4].data() + lane, unit % 32, stop - unit, out + lane);
      out += (stop - unit) * random::rademacher_unit;
    }
  }
  /// `random::words_of`.
  HWY_INLINE void fill(std::uint64_t superblock, random::superblock_words& words) const noexcept {
    for (std::size_t lane = 0; lane < random::superblock_lanes; lane += hn::Lanes(u32()))
      generate(run, superblock * random::superblock_lanes + lane, words, lane, [](std::size_t) HWY_ATTR {});
  }
  /// Bits [31 - first, 31 - first - count) of a vector of words, to rows of a superblock.
  static HWY_INLINE void write(const std::uint32_t* word, std::size_t first, std::size_t count, float* out) noexcept {
    const u32 d;
    bits v = hn::ShiftLeftSame(hn::Load(d, word), static_cast<int>(first));
#pragma GCC unroll 4
    for (; count != 0; --count, v = hn::Add(v, v), out += random::rademacher_unit) {
      const auto sign = hn::And(v, hn::Set(d, 0x80000000u));
      hn::StoreU(hn::BitCast(f32(), hn::Xor(sign, hn::Set(d, random::minus_one))), f32(), out);
    }
  }
};

#endif

}  // namespace directions

/// Elements [first, first + n) of the stream as N(0, 1) numbers.
inline void gaussian(random::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  random::gaussian(s, first, {out, n});
#else
  random::for_each_superblock<random::gaussian_superblock, 1>(first, out, n, directions::emit_gaussian{s.run()});
#endif
}

/// Elements [first, first + n) of the stream as +1 or -1.
inline void rademacher(random::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  random::rademacher(s, first, {out, n});
#else
  random::for_each_superblock<random::rademacher_unit, random::rademacher_units>(
      first, out, n, directions::emit_rademacher{s.run()});
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

/// The words of superblocks [superblock, superblock + count) of `rademacher`.
inline void rademacher_words(random::stream s, std::uint64_t superblock, std::size_t count,
                             std::uint32_t* words) noexcept {
  alignas(64) random::superblock_words bits;
  for (const auto run = s.run(); count != 0; --count, ++superblock, words += sign_run::superblock_words) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
    bits = random::words_of(run, superblock);
#else
    directions::emit_rademacher{run}.fill(superblock, bits);
#endif
    std::memcpy(words, bits.data(), sizeof(bits));
  }
}

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/random/superblock.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI::rng {

/// Box-Muller (Box and Muller, 1958) from one 32-bit word to two independent N(0, 1) numbers, as arithmetic that
/// gives the same bits on every IEEE-754 machine: add, subtract, multiply, square root, integer to float, and no
/// product that feeds an addition unrounded (and so no -ffast-math). The bits of a word, from the top:
///
///     1   sign of the cosine          16  h, the radius: u = (h + 1/2) / 2^16, radius = sqrt(-2 ln u)
///     14  k, the angle in a quadrant  1   sign of the sine
///
/// The angle is pi/4 (1 + x) with x = (2k + 1) / 2^14 - 1, never on an axis. By the addition theorem its cosine and
/// sine are even(x) - odd(x) and even(x) + odd(x): no swap, no selection. The polynomials are minimax fits that are
/// exact where pieces meet: even and odd of degrees 4 and 5 (error 7.8e-6), log2 of degree 5 (error 1.6e-5, the
/// resolution of u). `even` and `odd` carry the factor sqrt(2 ln 2 / 2^23) that turns the square root of -log2 u,
/// scaled by 2^23, into the radius, and a correction of 2.6e-6 that makes the variance one.
///
/// Over all 2^32 words: odd moments and the correlation of a pair vanish by symmetry, E x^2 = 1 within 1e-7,
/// E x^4 = 3 - 1.8e-4, E x^6 = 15 - 6.8e-3 (the tail ends at 4.855), and the distribution function is the normal one
/// within 6e-6.
namespace box_muller {

inline constexpr std::uint32_t sign = 0x80000000u;
inline constexpr std::uint32_t radius_bits = 0x7fff8000u, radius_half = 0x00004000u;  ///< u as an integer over 2^31
inline constexpr std::uint32_t one = (127u + 31u) << 23;                              ///< 2^31 as the bits of a float
inline constexpr std::int32_t mantissa_bits = 0x007fffff;
inline constexpr std::uint32_t angle_bits = 0x00007ffeu, angle_base = 0x44000001u;  ///< makes 513 + x
inline constexpr float angle_center = 513;

/// With u = m 2^-e, m in [1, 2) and y = 2 - m: -log2 u = (e - 1 + y) - (y + log2(1 - y / 2)). The last bracket is
/// y (q0 + q1 y + ...) and zero at either end, so that y may be 0 where m is 1. y and the sum are scaled by 2^23.
inline constexpr float q0 = 0x1.1cb006p-2f, q1 = -0x1.60c068p-26f, q2 = -0x1.7c155p-50f, q3 = 0x1.07887ep-74f,
                       q4 = -0x1.71dc72p-97f;
inline constexpr float even0 = 0x1.2d6a18p-12f, even2 = -0x1.73a0c2p-14f, even4 = 0x1.283d42p-18f;
inline constexpr float odd1 = 0x1.d9772cp-13f, odd3 = -0x1.855c0ap-16f, odd5 = 0x1.7a0fc4p-21f;

struct pair {
  float cosine, sine;
};

[[nodiscard]] inline pair of(std::uint32_t word) noexcept {
  // How far the bits of the float u are below those of one is (e - 1 + y) 2^23: a piecewise linear -log2 u.
  const auto u = static_cast<float>(static_cast<std::int32_t>((word & radius_bits) | radius_half));
  const auto below = static_cast<std::int32_t>(one - std::bit_cast<std::uint32_t>(u));
  const auto y = static_cast<float>(below & mantissa_bits);
  const float q = q0 + rounded(y * (q1 + rounded(y * (q2 + rounded(y * (q3 + rounded(y * q4)))))));
  const float radius = std::sqrt(static_cast<float>(below) - rounded(y * q));

  const float x = std::bit_cast<float>((word & angle_bits) | angle_base) - angle_center;
  const float z = x * x;
  const float even = even0 + rounded(z * (even2 + rounded(z * even4)));
  const float odd = rounded(x * (odd1 + rounded(z * (odd3 + rounded(z * odd5)))));
  const auto cosine = std::bit_cast<std::uint32_t>(radius * (even - odd)) ^ (word & sign);
  const auto sine = std::bit_cast<std::uint32_t>(radius * (even + odd)) ^ (word << 31);
  return {std::bit_cast<float>(cosine), std::bit_cast<float>(sine)};
}

}  // namespace box_muller

/// Elements of a Gaussian superblock: for each of its four rows 16 cosines, then the 16 sines that go with them.
inline constexpr std::size_t gaussian_superblock = 4 * 2 * superblock_lanes;

namespace detail {

/// Elements [first, first + out.size()) of what a run of either generator gives.
template <class Run>
void gaussian(const Run& run, std::uint64_t first, std::span<float> out) noexcept {
  const auto emit = [&](std::uint64_t superblock, std::size_t begin, std::size_t end, float* to) noexcept {
    for (; begin != end; ++begin)
      for (const auto& row : words_of(run, superblock + begin)) {
        for (std::size_t lane = 0; lane != superblock_lanes; ++lane) {
          const auto [cosine, sine] = box_muller::of(row[lane]);
          to[lane] = cosine;
          to[lane + superblock_lanes] = sine;
        }
        to += 2 * superblock_lanes;
      }
  };
  for_each_superblock<gaussian_superblock, 1>(first, out.data(), out.size(), emit);
}

}  // namespace detail

/// Elements [first, first + out.size()) of the stream as N(0, 1) numbers. Element i is a pure function of the
/// stream and i, with the same bits on every target. A stream holds 2^35 elements. This is the specification, in
/// scalar code; the vector kernels of `simd` compute the same bits in a fraction of the time.
inline void gaussian(stream s, std::uint64_t first, std::span<float> out) noexcept {
  detail::gaussian(s.run(), first, out);
}

/// N(0, 1) numbers as above, made from the bits of ARS. They are independent of those that `gaussian` makes.
inline void gaussian_ars(stream s, std::uint64_t first, std::span<float> out) noexcept {
  detail::gaussian(s.ars_run(), first, out);
}

}  // namespace zoqat::rng

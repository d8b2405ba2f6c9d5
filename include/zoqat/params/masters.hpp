// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/random/superblock.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace zoqat::inline ZOQAT_ABI {

namespace detail {

/// Calls f(first, n, grid) for the pieces of elements [first, first + n) that share a grid.
template <class F>
void for_each_block(const compact_masters& m, std::size_t first, std::size_t n, F&& f) {
  for (const std::size_t end = first + n; first != end;) {
    const std::size_t block = first / compact_masters::block;
    const std::size_t piece = std::min(end, (block + 1) * compact_masters::block) - first;
    f(first, piece, simd::grid{static_cast<float>(m.scales[block]), compact_masters::zero});
    first += piece;
  }
}

}  // namespace detail

/// Writes elements [first, first + n) of a tensor as numbers to `out`, whatever their format.
template <simd::kernels Kernels>
void read_masters(const parameter& p, std::size_t first, std::size_t n, float* out) noexcept {
  if (!p.compact.halves.empty())
    Kernels::widen(p.compact.halves.data() + first, n, out);
  else if (p.compact.codes.empty())
    std::copy_n(p.values.data() + first, n, out);
  else
    detail::for_each_block(p.compact, first, n, [&](std::size_t at, std::size_t count, simd::grid where) {
      Kernels::dequantize(p.compact.codes.data() + at, count, where, out + (at - first));
    });
}

/// Elements [first, first + n) of a tensor as numbers: where they lie if they do as fp32, else in `room`.
template <simd::kernels Kernels>
[[nodiscard]] const float* masters(const parameter& p, std::size_t first, std::size_t n, float* room) noexcept {
  if (p.compact.size() == 0) return p.values.data() + first;
  read_masters<Kernels>(p, first, n, room);
  return room;
}

/// Rounds `values` to elements [first, first + n) of compact masters, each up or down with odds that make it right on
/// average: 16 bits of `noise` by ARS, a stream of purpose `rounding`, decide for each, and depend on nothing but the
/// element. A code beyond the last is the last.
template <simd::kernels Kernels>
void store_masters(const parameter& p, random::stream noise, std::size_t first, std::size_t n,
                   const float* values) noexcept {
  // 16 bits each: a superblock of 64 words serves 128 elements.
  constexpr std::size_t of_superblock = sizeof(random::superblock_words) / sizeof(std::uint16_t);
  constexpr std::size_t at_a_time = 8 * of_superblock;
  alignas(alignment) std::array<std::uint32_t, at_a_time / 2> words;
  std::array<std::uint16_t, at_a_time> bits;
  for (const std::size_t end = first + n; first != end;) {
    const std::size_t before = first % of_superblock, count = std::min(end - first, at_a_time - before);
    Kernels::ars_words(noise, first / of_superblock, (before + count + of_superblock - 1) / of_superblock,
                       words.data());
    std::memcpy(bits.data(), words.data(), sizeof bits);
    const std::uint16_t* const odds = bits.data() + before;
    if (!p.compact.halves.empty())
      Kernels::narrow(values, odds, count, p.compact.halves.data() + first);
    else
      detail::for_each_block(p.compact, first, count, [&](std::size_t at, std::size_t m, simd::grid where) {
        Kernels::narrow(values + (at - first), odds + (at - first), m, where, p.compact.codes.data() + at);
      });
    first += count, values += count;
  }
}

/// Rounds `values` to the nearest that elements [first, first + n) of compact masters can be.
template <simd::kernels Kernels>
void round_masters(const parameter& p, std::size_t first, std::size_t n, const float* values) noexcept {
  if (!p.compact.halves.empty())
    std::transform(values, values + n, p.compact.halves.begin() + static_cast<std::ptrdiff_t>(first),
                   [](float x) { return bf16(x); });
  else
    detail::for_each_block(p.compact, first, n, [&](std::size_t at, std::size_t count, simd::grid where) {
      Kernels::quantize(values + (at - first), count, where, 8, p.compact.codes.data() + at);
    });
}

}  // namespace zoqat

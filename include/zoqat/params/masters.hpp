// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
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

/// Calls f(first, n, grid) for the pieces of elements [first, first + n) that share a grid. Pieces of an engine's
/// codes are short enough for a copy with the sign flipped.
template <class F>
void for_each_block(const compact_masters& m, std::size_t first, std::size_t n, F&& f) {
  for (const std::size_t end = first + n; first != end;) {
    const std::size_t block = first / m.scale_size;
    const std::size_t piece = std::min(end, (block + 1) * m.scale_size) - first;
    const float scale = m.host_scales.empty() ? static_cast<float>(m.scales[block]) : m.host_scales[block];
    f(first, piece, simd::grid{scale, compact_masters::zero});
    first += piece;
  }
}

/// Calls code(offset, count, bytes) for pieces of n of an engine's signed codes as codes around
/// compact_masters::zero. Where `Writes`, they are written back, none below −127: nothing is there for a symmetric
/// grid.
template <bool Writes, class Code>
void through_flipped(std::uint8_t* signed_codes, std::size_t n, Code&& code) {
  alignas(alignment) std::array<std::uint8_t, 1024> bytes;
  for (std::size_t done = 0, count; done != n; done += count) {
    count = std::min(n - done, bytes.size());
    std::uint8_t* const from = signed_codes + done;
    if constexpr (!Writes)
      for (std::size_t i = 0; i != count; ++i) bytes[i] = from[i] ^ std::uint8_t{compact_masters::zero};
    code(done, count, bytes.data());
    if constexpr (Writes)
      for (std::size_t i = 0; i != count; ++i)
        from[i] = std::max(bytes[i], std::uint8_t{1}) ^ std::uint8_t{compact_masters::zero};
  }
}

/// Rounds n values to elements [first, first + n) of compact masters: to_halves(offset, count, out) for the formats
/// of 16 bits, to_codes(offset, count, grid, codes) for those of 8, and fp32 as it is.
template <class ToHalves, class ToCodes>
void write_masters(const compact_masters& m, std::size_t first, std::size_t n, const float* values,
                   ToHalves&& to_halves, ToCodes&& to_codes) {
  for_each_run(m, first, n, [&](std::size_t from, std::size_t count, std::size_t at) {
    const std::size_t offset = from - first;
    if (!m.halves.empty()) return to_halves(offset, count, m.halves.data() + at);
    if (!m.fp16s.empty()) return to_halves(offset, count, m.fp16s.data() + at);
    if (!m.floats.empty()) return void(std::copy_n(values + offset, count, m.floats.data() + at));
    for_each_block(m, from, count, [&](std::size_t element, std::size_t piece, simd::grid g) {
      std::uint8_t* const codes = m.codes.data() + (at + (element - from));
      if (m.host_scales.empty()) return to_codes(element - first, piece, g, codes);
      through_flipped<true>(codes, piece, [&](std::size_t done, std::size_t k, std::uint8_t* bytes) {
        to_codes(element - first + done, k, g, bytes);
      });
    });
  });
}

}  // namespace detail

/// Writes elements [first, first + n) of a tensor as numbers to `out`, whatever their format. Exact.
template <simd::kernels Kernels>
void read_masters(const parameter& p, std::size_t first, std::size_t n, float* out) noexcept {
  const compact_masters& m = p.compact;
  if (m.size() == 0) return void(std::copy_n(p.values.data() + first, n, out));
  detail::for_each_run(m, first, n, [&](std::size_t from, std::size_t count, std::size_t at) {
    float* const to = out + (from - first);
    if (!m.halves.empty()) return Kernels::widen(m.halves.data() + at, count, to);
    if (!m.fp16s.empty()) return Kernels::widen(m.fp16s.data() + at, count, to);
    if (!m.floats.empty()) return void(std::copy_n(m.floats.data() + at, count, to));
    detail::for_each_block(m, from, count, [&](std::size_t element, std::size_t piece, simd::grid g) {
      std::uint8_t* const codes = m.codes.data() + (at + (element - from));
      float* const values = to + (element - from);
      if (m.host_scales.empty()) return Kernels::dequantize(codes, piece, g, values);
      detail::through_flipped<false>(codes, piece, [&](std::size_t done, std::size_t k, const std::uint8_t* bytes) {
        Kernels::dequantize(bytes, k, g, values + done);
      });
    });
  });
}

/// Elements [first, first + n) of a tensor as numbers: where they lie if they do as one run of fp32, else in `room`.
template <simd::kernels Kernels>
[[nodiscard]] const float* masters(const parameter& p, std::size_t first, std::size_t n, float* room) noexcept {
  if (p.compact.size() == 0) return p.values.data() + first;
  read_masters<Kernels>(p, first, n, room);
  return room;
}

/// Rounds `values` to elements [first, first + n) of compact masters, each up or down with odds that make it right on
/// average: 16 bits of `noise` by ARS, a stream of purpose `rounding`, decide for each, and depend on nothing but the
/// element. A code beyond the last is the last, and fp16 ends at ±65504. Masters in fp32 take the values as they are.
template <simd::kernels Kernels>
void store_masters(const parameter& p, rng::stream noise, std::size_t first, std::size_t n,
                   const float* values) noexcept {
  // 16 bits each: a superblock of 64 words serves 128 elements.
  constexpr std::size_t of_superblock = sizeof(rng::superblock_words) / sizeof(std::uint16_t);
  constexpr std::size_t at_a_time = 8 * of_superblock;
  alignas(alignment) std::array<std::uint32_t, at_a_time / 2> words;
  std::array<std::uint16_t, at_a_time> bits;
  for (const std::size_t end = first + n; first != end;) {
    const std::size_t before = first % of_superblock, count = std::min(end - first, at_a_time - before);
    if (p.compact.floats.empty()) {
      Kernels::ars_words(noise, first / of_superblock, (before + count + of_superblock - 1) / of_superblock,
                         words.data());
      std::memcpy(bits.data(), words.data(), sizeof bits);
    }
    const std::uint16_t* const odds = bits.data() + before;
    detail::write_masters(
        p.compact, first, count, values,
        [&](std::size_t i, std::size_t m, auto* out) { Kernels::narrow(values + i, odds + i, m, out); },
        [&](std::size_t i, std::size_t m, simd::grid g, std::uint8_t* codes) {
          Kernels::narrow(values + i, odds + i, m, g, codes);
        });
    first += count, values += count;
  }
}

/// Rounds `values` to the nearest that elements [first, first + n) of compact masters can be.
template <simd::kernels Kernels>
void round_masters(const parameter& p, std::size_t first, std::size_t n, const float* values) noexcept {
  struct to_nearest {
    const float* values;
    void operator()(std::size_t i, std::size_t m, bf16* out) const {
      std::transform(values + i, values + i + m, out, [](float x) { return bf16(x); });
    }
    void operator()(std::size_t i, std::size_t m, fp16* out) const { Kernels::narrow(values + i, m, out); }
  };
  detail::write_masters(p.compact, first, n, values, to_nearest{values},
                        [&](std::size_t i, std::size_t m, simd::grid g, std::uint8_t* codes) {
                          Kernels::quantize(values + i, m, g, 8, codes);
                        });
}

}  // namespace zoqat

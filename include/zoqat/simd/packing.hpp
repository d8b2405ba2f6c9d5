// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/kernels.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace zoqat::simd {

/// One block of bit-packed storage: 32 codes of `Bits` bits in 4 * Bits bytes and nothing else.
///
/// The bits of a code are split into planes of four, two and one bit, lowest bits first (3 = 2 + 1,
/// 6 = 4 + 2, 7 = 4 + 2 + 1, 8 = 4 + 4), and the planes follow one another. In a plane of p bits, byte j of 4p
/// holds the fields of codes j, j + 4p, j + 8p, …, the first in the lowest bits. So every width unpacks with the
/// same shifts and masks on whole vectors, and no code straddles a byte.
template <int Bits>
  requires(Bits >= 1 && Bits <= 8)
struct packed_block {
  std::uint8_t bytes[packed_bytes(Bits, codes_per_block)];
};
static_assert(sizeof(packed_block<2>) == 8 && sizeof(packed_block<3>) == 12 && sizeof(packed_block<4>) == 16);
static_assert(sizeof(packed_block<5>) == 20 && sizeof(packed_block<6>) == 24 && sizeof(packed_block<7>) == 28);
static_assert(sizeof(packed_block<8>) == 32);

/// Calls `f.template operator()<Width, Shift, Offset>()` for each plane of a `Bits`-bit block: its width in bits,
/// the position of its field in the code, and its first byte in the block.
template <int Bits, int Shift = 0, class F>
constexpr void for_each_plane(F&& f) {
  constexpr int rest = Bits - Shift;
  if constexpr (rest > 0) {
    constexpr int width = rest >= 4 ? 4 : rest >= 2 ? 2 : 1;
    f.template operator()<width, Shift, 4 * Shift>();
    for_each_plane<Bits, Shift + width>(f);
  }
}

/// Packs 32 codes into a block; the scalar definition of the layout.
template <int Bits>
constexpr void pack_block(const std::uint8_t* codes, std::uint8_t* block) noexcept {
  for_each_plane<Bits>([&]<int Width, int Shift, int Offset>() {
    constexpr int stride = 4 * Width;
    for (int j = 0; j != stride; ++j) {
      unsigned byte = 0;
      for (int i = 0; i != 8 / Width; ++i)
        byte |= ((codes[j + i * stride] >> Shift) & ((1u << Width) - 1u)) << (i * Width);
      block[Offset + j] = static_cast<std::uint8_t>(byte);
    }
  });
}

/// Unpacks a block into 32 codes.
template <int Bits>
constexpr void unpack_block(const std::uint8_t* block, std::uint8_t* codes) noexcept {
  for (std::size_t i = 0; i != codes_per_block; ++i) codes[i] = 0;
  for_each_plane<Bits>([&]<int Width, int Shift, int Offset>() {
    constexpr int stride = 4 * Width;
    for (int j = 0; j != stride; ++j)
      for (int i = 0; i != 8 / Width; ++i) {
        const unsigned field = (block[Offset + j] >> (i * Width)) & ((1u << Width) - 1u);
        codes[j + i * stride] = static_cast<std::uint8_t>(codes[j + i * stride] | field << Shift);
      }
  });
}

/// Packs a row of n codes by a function that packs one block; the last block is filled up with zero codes.
template <int Bits, class PackBlock>
void pack_row(const std::uint8_t* codes, std::size_t n, std::uint8_t* bytes, PackBlock pack) noexcept {
  for (; n >= codes_per_block; n -= codes_per_block, codes += codes_per_block, bytes += sizeof(packed_block<Bits>))
    pack(codes, bytes);
  if (n == 0) return;
  std::uint8_t last[codes_per_block] = {};
  std::memcpy(last, codes, n);
  pack(last, bytes);
}

/// Unpacks a row of n codes by a function that unpacks one block.
template <int Bits, class UnpackBlock>
void unpack_row(const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes, UnpackBlock unpack) noexcept {
  for (; n >= codes_per_block; n -= codes_per_block, codes += codes_per_block, bytes += sizeof(packed_block<Bits>))
    unpack(bytes, codes);
  if (n == 0) return;
  std::uint8_t last[codes_per_block];
  unpack(bytes, last);
  std::memcpy(codes, last, n);
}

}  // namespace zoqat::simd

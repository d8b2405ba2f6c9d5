// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/kernels.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace zoqat::inline ZOQAT_ABI::simd {

/// One block of a packed panel: 32 codes of `Bits` bits of each of 16 columns in 64 * Bits bytes and nothing else.
///
/// The bits of a code are split into planes of four, two and one bit, lowest bits first (3 = 2 + 1, 6 = 4 + 2,
/// 7 = 4 + 2 + 1, 8 = 4 + 4), and the planes follow one another. A plane of p bits is p rows of 64 bytes, laid out
/// like the rows of a code panel ([16 columns][4 codes]), and each holds 8 / p rows of the panel: row r of the plane
/// has rows r * 8 / p + f of the block in the p-bit fields f of its bytes, the first in the lowest bits. So every
/// width unpacks to a code panel with the same shifts and masks on whole vectors, and no code crosses a byte.
template <int Bits>
  requires(Bits >= 1 && Bits <= 8)
struct packed_block {
  std::uint8_t bytes[packed_panel_size(Bits, block_depth)];
};
static_assert(sizeof(packed_block<2>) == 128 && sizeof(packed_block<3>) == 192 && sizeof(packed_block<4>) == 256);
static_assert(sizeof(packed_block<5>) == 320 && sizeof(packed_block<6>) == 384 && sizeof(packed_block<7>) == 448);
static_assert(sizeof(packed_block<8>) == 512);

/// Bytes of a row of a code panel or of a plane: four codes of each column.
inline constexpr std::size_t panel_row = 4 * panel_width;
/// Rows of a code panel in a block.
inline constexpr std::size_t block_rows = block_depth / 4;

/// Calls `f.template operator()<Width, Shift, Offset>()` for each plane of a `Bits`-bit block: its width in bits,
/// the position of its field in the code, and its first byte in the block.
template <int Bits, int Shift = 0, class F>
constexpr void for_each_plane(F&& f) {
  constexpr int rest = Bits - Shift;
  if constexpr (rest > 0) {
    constexpr int width = rest >= 4 ? 4 : rest >= 2 ? 2 : 1;
    f.template operator()<width, Shift, static_cast<int>(panel_row) * Shift>();
    for_each_plane<Bits, Shift + width>(f);
  }
}

/// Packs 8 rows of a code panel into a block; the scalar definition of the layout.
template <int Bits>
constexpr void pack_block(const std::uint8_t* rows, std::uint8_t* block) noexcept {
  for_each_plane<Bits>([&]<int Width, int Shift, int Offset>() {
    for (std::size_t r = 0; r != Width; ++r)
      for (std::size_t i = 0; i != panel_row; ++i) {
        unsigned byte = 0;
        for (std::size_t f = 0; f != 8 / Width; ++f)
          byte |= ((rows[(r * (8 / Width) + f) * panel_row + i] >> Shift) & ((1u << Width) - 1u)) << (f * Width);
        block[Offset + r * panel_row + i] = static_cast<std::uint8_t>(byte);
      }
  });
}

/// Unpacks a block into 8 rows of a code panel.
template <int Bits>
constexpr void unpack_block(const std::uint8_t* block, std::uint8_t* rows) noexcept {
  for (std::size_t i = 0; i != block_rows * panel_row; ++i) rows[i] = 0;
  for_each_plane<Bits>([&]<int Width, int Shift, int Offset>() {
    for (std::size_t r = 0; r != Width; ++r)
      for (std::size_t i = 0; i != panel_row; ++i)
        for (std::size_t f = 0; f != 8 / Width; ++f) {
          const unsigned field = (block[Offset + r * panel_row + i] >> (f * Width)) & ((1u << Width) - 1u);
          std::uint8_t& code = rows[(r * (8 / Width) + f) * panel_row + i];
          code = static_cast<std::uint8_t>(code | field << Shift);
        }
  });
}

/// Calls f(block, rows) for the blocks of a panel of depth k: its index, and how many rows of the code panel it has.
template <class F>
void for_each_block(std::size_t k, F&& f) noexcept {
  std::size_t rows = (k + 3) / 4;
  for (std::size_t block = 0; rows != 0; ++block) {
    const std::size_t here = rows < block_rows ? rows : block_rows;
    f(block, here);
    rows -= here;
  }
}

}  // namespace zoqat::simd

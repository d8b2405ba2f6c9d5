// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>

#include <xsimd/xsimd.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Bit-packed storage (layout: simd/packing.hpp), a row of a panel at a time. Fields are shifted in 32-bit words,
/// since there are no shifts of bytes: a mask keeps what belongs to each byte.
template <class Arch>
struct packing_kernels {
  template <int Bits>
  static void pack(const std::uint8_t* panel, std::size_t k, std::uint8_t* bytes) noexcept {
    for_each_block(k, [=](std::size_t block, std::size_t rows) {
      const std::uint8_t* const from = panel + block * block_rows * panel_row;
      std::uint8_t* const to = bytes + block * sizeof(packed_block<Bits>);
      for_each_plane<Bits>([=]<int Width, int Shift, int Offset>() {
        for (std::size_t r = 0; r != Width; ++r)
          for (std::size_t i = 0; i != panel_row; i += batch_bytes) {
            words packed(0u);
            for (std::size_t f = 0, row = r * (8 / Width); f != 8 / Width && row < rows; ++f, ++row)
              packed |= ((load(from + row * panel_row + i) >> Shift) & mask<Width>()) << static_cast<int>(f * Width);
            store(packed, to + Offset + r * panel_row + i);
          }
      });
    });
  }

  template <int Bits>
  static void unpack(const std::uint8_t* bytes, std::size_t k, const std::uint8_t* offsets,
                     std::uint8_t* panel) noexcept {
    const auto less = row_of(offsets);
    for_each_block(k, [&](std::size_t block, std::size_t rows) {
      const std::uint8_t* const from = bytes + block * sizeof(packed_block<Bits>);
      std::uint8_t* const to = panel + block * block_rows * panel_row;
      for (std::size_t row = 0; row != rows; ++row)
        for (std::size_t i = 0; i != panel_row; i += batch_bytes) {
          words codes(0u);
          for_each_plane<Bits>([&]<int Width, int Shift, int Offset>() {
            const words fields = load(from + Offset + row / (8 / Width) * panel_row + i);
            codes |= ((fields >> static_cast<int>(row % (8 / Width) * Width)) & mask<Width>()) << Shift;
          });
          const auto code_bytes = bits_as<byte_batch>(codes);
          (code_bytes - byte_batch::load_unaligned(less.data() + i)).store_unaligned(to + row * panel_row + i);
        }
    });
  }

 private:
  using words = xsimd::batch<std::uint32_t, Arch>;
  using byte_batch = xsimd::batch<std::uint8_t, Arch>;
  static constexpr std::size_t batch_bytes = byte_batch::size;
  static_assert(panel_row % batch_bytes == 0);

  template <int Width>
  static words mask() noexcept {
    return words(0x01010101u * ((1u << Width) - 1));
  }
  static words load(const std::uint8_t* from) noexcept { return bits_as<words>(byte_batch::load_unaligned(from)); }
  static void store(const words& v, std::uint8_t* to) noexcept { bits_as<byte_batch>(v).store_unaligned(to); }
  // What is taken from each byte of a row; null stands for nothing.
  static std::array<std::uint8_t, panel_row> row_of(const std::uint8_t* offsets) noexcept {
    std::array<std::uint8_t, panel_row> row{};
    if (offsets)
      for (std::size_t i = 0; i != panel_row; ++i) row[i] = offsets[i / 4];
    return row;
  }
};

}  // namespace zoqat::simd::xsimd_detail

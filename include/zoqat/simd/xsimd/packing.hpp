// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/packing.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace zoqat::simd::xsimd_detail {

/// Bit-packed storage (layout: simd/packing.hpp), a word of bytes at a time: the batches of the wider architectures
/// are longer than a plane.
template <class Arch>
struct packing_kernels {
  template <int Bits>
  static void pack(const std::uint8_t* codes, std::size_t n, std::uint8_t* bytes) noexcept {
    pack_row<Bits>(codes, n, bytes, [](const std::uint8_t* from, std::uint8_t* to) {
      for_each_word<Bits>([=]<int Width, int Shift>(auto mask, std::size_t first, std::size_t plane) {
        decltype(mask) fields = 0;
        for (std::size_t i = 0; i != 8 / Width; ++i)
          fields |= (load<decltype(mask)>(from + first + i * 4 * Width) >> Shift & mask) << (i * Width);
        std::memcpy(to + plane, &fields, sizeof fields);
      });
    });
  }

  template <int Bits>
  static void unpack(const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes) noexcept {
    unpack_row<Bits>(bytes, n, codes, [](const std::uint8_t* from, std::uint8_t* to) {
      std::memset(to, 0, codes_per_block);
      for_each_word<Bits>([=]<int Width, int Shift>(auto mask, std::size_t first, std::size_t plane) {
        const auto fields = load<decltype(mask)>(from + plane);
        for (std::size_t i = 0; i != 8 / Width; ++i) {
          std::uint8_t* const code = to + first + i * 4 * Width;
          const auto both = load<decltype(mask)>(code) | (fields >> (i * Width) & mask) << Shift;
          std::memcpy(code, &both, sizeof both);
        }
      });
    });
  }

 private:
  // Calls f<Width, Shift>(mask of the first fields of a word, first code of the word, its place in the block) for the
  // words of each plane: 32 bits where a plane is no longer, else 64.
  template <int Bits, class F>
  static void for_each_word(F f) noexcept {
    for_each_plane<Bits>([=]<int Width, int Shift, int Offset>() {
      using word = std::conditional_t<Width == 1, std::uint32_t, std::uint64_t>;
      constexpr word mask = static_cast<word>(~word{0}) / 255 * ((1u << Width) - 1);
      for (std::size_t first = 0; first != 4 * Width; first += sizeof(word))
        f.template operator()<Width, Shift>(mask, first, Offset + first);
    });
  }
  template <class Word>
  static Word load(const std::uint8_t* from) noexcept {
    Word w;
    std::memcpy(&w, from, sizeof w);
    return w;
  }
};

}  // namespace zoqat::simd::xsimd_detail

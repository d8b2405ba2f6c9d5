// SPDX-License-Identifier: Apache-2.0

// Bit-packed panels (layout: simd/packing.hpp).
//
// Unpacking 4 bits takes 5 operations and 2 stores for 128 bytes. Measured on Zen 5 by `bench/rows
// --benchmark_filter=unpack`, in 10⁹ codes a second, AVX-512: 266 of a panel that stays in the first-level cache (k =
// 768), one store per cycle; 130 of one written to the second level (k = 4096), which limits. With AVX2 133 and 108.
// 3 bits: 128 and 98; 75 and 75 with AVX2.

#if defined(ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_PACKING_INL_HPP
#endif

#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/reference.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
struct packing_kernels {
  template <int Bits>
  static void pack(const std::uint8_t* panel, std::size_t k, std::uint8_t* bytes) noexcept {
    reference::pack<Bits>(panel, k, bytes);
  }
  template <int Bits>
  static void unpack(const std::uint8_t* bytes, std::size_t k, const std::uint8_t* offsets,
                     std::uint8_t* panel) noexcept {
    reference::unpack<Bits>(bytes, k, offsets, panel);
  }
};
#else
/// Four codes of each of `vector_length` columns: a row of a code panel or of a plane is panel_vectors of them.
using code_words = vector<std::uint32_t>;
inline constexpr std::size_t vector_bytes = 4 * vector_length;

HWY_INLINE code_words load_words(const std::uint8_t* from) {
  return hn::BitCast(tag<std::uint32_t>{}, hn::LoadU(hn::Repartition<std::uint8_t, tag<std::uint32_t> >{}, from));
}
HWY_INLINE void store_words(code_words v, std::uint8_t* to) {
  constexpr hn::Repartition<std::uint8_t, tag<std::uint32_t> > d;
  hn::StoreU(hn::BitCast(d, v), d, to);
}
/// v moved by `Count` bits: up, or down if it is negative.
template <int Count>
HWY_INLINE code_words shift(code_words v) {
  if constexpr (Count > 0) return hn::ShiftLeft<Count>(v);
  if constexpr (Count < 0) return hn::ShiftRight<-Count>(v);
  return v;
}
/// Bits [Shift, Shift + Width) of every byte.
template <int Width, int Shift>
HWY_INLINE code_words bits_of_bytes() {
  return hn::Set(tag<std::uint32_t>{}, 0x01010101u * (((1u << Width) - 1u) << Shift));
}
/// A row of a code panel.
struct panel_words {
  code_words of[panel_vectors];
};

/// A plane of a packed_block.
struct plane {
  int width, shift, offset;
};
template <int Bits>
inline constexpr std::size_t plane_count = [] {
  std::size_t count = 0;
  for_each_plane<Bits>([&]<int, int, int>() { ++count; });
  return count;
}();
/// What for_each_plane calls f with: for loops that have to be inlined.
template <int Bits>
inline constexpr auto planes = [] {
  std::array<plane, plane_count<Bits> > all{};
  std::size_t i = 0;
  for_each_plane<Bits>([&]<int Width, int Shift, int Offset>() { all[i++] = {Width, Shift, Offset}; });
  return all;
}();

/// Row `Row` of the code panel that a packed_block holds, of the columns of one vector; `block` is that vector's
/// first byte.
template <int Bits, std::size_t Row>
HWY_INLINE code_words row_of_block(const std::uint8_t* block) {
  auto codes = hn::Zero(tag<std::uint32_t>{});
  unroll<plane_count<Bits> >([&](auto p) ZOQAT_INLINE_LAMBDA {
    constexpr int width = planes<Bits>[p].width, field = planes<Bits>[p].shift, from = planes<Bits>[p].offset;
    constexpr std::size_t fields = 8 / width;
    constexpr int bit = static_cast<int>(Row % fields) * width;
    const auto bytes = load_words(block + from + Row / fields * panel_row);
    codes = hn::Or(codes, hn::And(shift<field - bit>(bytes), bits_of_bytes<width, field>()));
  });
  return codes;
}

struct packing_kernels {
  template <int Bits>
  static void pack(const std::uint8_t* panel, std::size_t k, std::uint8_t* bytes) noexcept {
    for_each_block(k, [=](std::size_t block, std::size_t rows) HWY_ATTR {
      const std::uint8_t* from = panel + block * block_rows * panel_row;
      std::uint8_t filled[block_rows * panel_row];
      if (rows != block_rows) {
        std::memcpy(filled, from, rows * panel_row);
        std::memset(filled + rows * panel_row, 0, sizeof filled - rows * panel_row);
        from = filled;
      }
      pack_one<Bits>(from, bytes + block * sizeof(packed_block<Bits>));
    });
  }

  template <int Bits>
  static void unpack(const std::uint8_t* bytes, std::size_t k, const std::uint8_t* offsets,
                     std::uint8_t* panel) noexcept {
    panel_words offset;
    unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
      constexpr tag<std::uint32_t> d;
      offset.of[v] = hn::Zero(d);
      if (offsets)
        offset.of[v] = hn::Mul(hn::PromoteTo(d, hn::LoadU(tag<std::uint8_t>{}, offsets + v * vector_length)),
                               bits_of_bytes<1, 0>());
    });
    for_each_block(k, [=](std::size_t block, std::size_t rows) HWY_ATTR {
      const std::uint8_t* const from = bytes + block * sizeof(packed_block<Bits>);
      std::uint8_t* const to = panel + block * block_rows * panel_row;
      if (rows == block_rows)
        unpack_rows<Bits>(from, offset, block_rows, to);
      else
        unpack_rows<Bits>(from, offset, rows, to);
    });
  }

 private:
  template <int Bits>
  static HWY_INLINE void pack_one(const std::uint8_t* rows, std::uint8_t* block) noexcept {
    unroll<plane_count<Bits> >([=](auto p) ZOQAT_INLINE_LAMBDA {
      constexpr int width = planes<Bits>[p].width, field = planes<Bits>[p].shift, to = planes<Bits>[p].offset;
      constexpr std::size_t fields = 8 / width;
      for (std::size_t at = 0; at != width * panel_row; at += vector_bytes) {
        const std::uint8_t* const from = rows + at / panel_row * fields * panel_row + at % panel_row;
        auto bytes = hn::Zero(tag<std::uint32_t>{});
        unroll<fields>([&](auto f) ZOQAT_INLINE_LAMBDA {
          constexpr int bit = static_cast<int>(f) * width;
          bytes = hn::Or(bytes,
                         hn::And(shift<bit - field>(load_words(from + f * panel_row)), bits_of_bytes<width, bit>()));
        });
        store_words(bytes, block + to + at);
      }
    });
  }

  /// The first `rows` rows of a block, less a column's offset in every byte.
  template <int Bits>
  static HWY_INLINE void unpack_rows(const std::uint8_t* block, panel_words offset, std::size_t rows,
                                     std::uint8_t* to) noexcept {
    unroll<block_rows * panel_vectors>([&](auto i) ZOQAT_INLINE_LAMBDA {
      constexpr std::size_t row = i / panel_vectors, at = i % panel_vectors * vector_bytes;
      if (row >= rows) return;
      const code_words codes = row_of_block<Bits, row>(block + at);
      constexpr hn::Repartition<std::uint8_t, tag<std::uint32_t> > d;
      const auto less = hn::BitCast(d, offset.of[i % panel_vectors]);
      hn::StoreU(hn::Sub(hn::BitCast(d, codes), less), d, to + row * panel_row + at);
    });
  }
};
#endif

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

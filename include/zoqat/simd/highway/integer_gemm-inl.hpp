// SPDX-License-Identifier: Apache-2.0

// Matrix products of codes.
//
// With a tile of 12 rows x 2 panels (AVX-512) the loads take 7 cycles of the multiply-adds' 12, with 6 x 1 (AVX2) 4
// of 6: the multiply-adds should be all that counts. Measured on Zen 5 by `bench/report --filter gemm.w4a4`, one
// thread, the worst of eight shapes, each pair of panels unpacked from 4 bits before its product: 0.865 of the peak
// of maddubs and paddw with AVX-512 and its dot products, 0.860 with AVX2; 3.81 and 3.44 times OpenBLAS's sgemm. 32
// rows, 4096 x 4096: 0.84 and 0.82. What limits beside the multiply-adds: lines of c that come from memory (hence
// `lines_ahead`), and at few rows the stores of the unpacked panels (packing-inl.hpp).

#if defined(ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP
#endif

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/highway/directions-inl.hpp>
#include <zoqat/simd/highway/dot4-inl.hpp>
#include <zoqat/simd/highway/gemm-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/reference.hpp>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE {

/// Lines of memory that are read next, asked for one by one between the steps of a product: all at once they would
/// wait for each other, and the product for them.
struct lines_ahead {
  static constexpr std::size_t line = 64;
  const char* next = nullptr;
  std::size_t count = 0;

  HWY_INLINE void ask() {
    if (count == 0) return;
    __builtin_prefetch(next, 1);
    next += line;
    --count;
  }
};

/// The share of the tile at (m, j) of c.
HWY_INLINE lines_ahead share_of(prefetch_hint all, std::size_t m, std::size_t j, matrix_view<float> c) {
  constexpr std::size_t width = tile_panels * panel_width;
  const std::size_t down = (c.rows() + tile_rows - 1) / tile_rows, tiles = down * ((c.cols() + width - 1) / width);
  const std::size_t lines = all.bytes / lines_ahead::line, share = (lines + tiles - 1) / tiles;
  const std::size_t first = std::min(lines, (j / width * down + m / tile_rows) * share);
  return {static_cast<const char*>(all.data) + first * lines_ahead::line, std::min(share, lines - first)};
}

struct integer_gemm_kernels {
  template <int ActivationBits, int WeightBits>
  static void gemm(matrix_view<const std::uint8_t> a, const grid* grids, const std::int32_t* row_sums,
                   const std::uint8_t* panels, const column_dequantization& columns, const float* bias,
                   bool accumulate, matrix_view<float> c, prefetch_hint next = {}) noexcept {
#if HWY_TARGET == HWY_SCALAR
    reference::gemm<ActivationBits, WeightBits>(a, grids, row_sums, panels, columns, bias, accumulate, c);
#else
    multiply_by<dot4<ActivationBits, WeightBits> >(a, grids, row_sums, panels, columns, bias, accumulate, c, next);
#endif
  }

  template <int ActivationBits, int WeightBits>
  static void add_parts(const code_parts& parts, matrix_view<float> c) noexcept {
#if HWY_TARGET == HWY_SCALAR
    reference::add_parts<ActivationBits, WeightBits>(parts, c);
#else
    add_parts_by<dot4<ActivationBits, WeightBits> >(parts, c);
#endif
  }

#if HWY_TARGET != HWY_SCALAR
 private:
  static constexpr std::size_t word = 4;  // codes
  /// Rows of a tile whose sums in floats stay in registers too.
  static constexpr std::size_t rows_of_parts = tile_rows == 1 ? 1 : tile_rows / 2;

  template <class Dot>
  static void add_parts_by(const code_parts& parts, matrix_view<float> c) noexcept {
    for (std::size_t j = 0; j != c.cols();) {
      const std::size_t panels = tile_panels == 2 && c.cols() - j >= 2 * panel_width ? 2 : 1;
      for_each_row_tile<rows_of_parts>(c.rows(), [&]<std::size_t Rows>(std::size_t m) HWY_ATTR {
        if (panels == 1) return parts_tile<Dot, Rows, 1>(parts, m, j, c);
        if constexpr (tile_panels == 2) parts_tile<Dot, Rows, 2>(parts, m, j, c);
      });
      j += panels * panel_width;
    }
  }

  /// The tile of c at (m, j), through all parts.
  template <class Dot, std::size_t Rows, std::size_t Panels>
  static HWY_NOINLINE void parts_tile(const code_parts& parts, std::size_t m, std::size_t j,
                                      matrix_view<float> c) noexcept {
    constexpr std::size_t across = Panels * panel_vectors;
    constexpr tag<float> d;
    constexpr tag<std::int32_t> di;
    const std::size_t k = parts.a.cols(), part_bytes = c.cols() / panel_width * code_panel_size(parts.depth);
    const auto a = parts.a.row_block(m, Rows);
    float* const to = c.data() + m * c.stride() + j;
    vector<float> totals[Rows * across];
    unroll<Rows * across>([&](auto i) ZOQAT_INLINE_LAMBDA {
      totals[i] = hn::Add(hn::LoadU(d, to + i / across * c.stride() + i % across * vector_length), hn::Zero(d));
    });
    for (std::size_t first = 0, part = 0; first < k; first += parts.depth, ++part) {
      const std::size_t depth = std::min(parts.depth, k - first), at = part * parts.columns_stride + j;
      const std::size_t panel_size = code_panel_size(depth);
      const grid* const grids = parts.grids.row(first / parts.group).data() + m;
      sums32 sums[Rows * across];
      sum_products<Dot, Rows, Panels>(a.col_block(first, depth),
                                      parts.panels + part * part_bytes + j / panel_width * panel_size, panel_size, {},
                                      sums);
      if (parts.columns.zero_point)
        subtract_zero_points<Rows, Panels>(grids, parts.row_sums.row(part).data() + m, depth,
                                           parts.columns.zero_point + at, sums);
      sums32 of_zero_point[across];
      vector<float> scale[across];
      unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
        of_zero_point[v] = hn::Mul(hn::Set(di, grids[0].zero_point - Dot::activation_offset),
                                   hn::LoadU(di, parts.columns.sum + at + v * vector_length));
        scale[v] = hn::LoadU(d, parts.columns.scale + at + v * vector_length);
      });
      unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
        const auto of_row = hn::Set(d, grids[r].scale);
        unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
          const auto exact = hn::Sub(sums[r * across + v], of_zero_point[v]);
          const auto value = hn::Mul(hn::ConvertTo(d, exact), hn::Mul(of_row, scale[v]));
          totals[r * across + v] = hn::Add(totals[r * across + v], directions::rounded(value));
        });
      });
    }
    unroll<Rows * across>([&](auto i) ZOQAT_INLINE_LAMBDA {
      hn::StoreU(totals[i], d, to + i / across * c.stride() + i % across * vector_length);
    });
  }

  /// The product for all widths that share a multiply-add.
  template <class Dot>
  static void multiply_by(matrix_view<const std::uint8_t> a, const grid* grids, const std::int32_t* row_sums,
                          const std::uint8_t* panels, const column_dequantization& columns, const float* bias,
                          bool accumulate, matrix_view<float> c, prefetch_hint next) noexcept {
    for_each_tile(bias, accumulate, c,
                  [=]<std::size_t Rows, std::size_t Panels>(std::size_t m, std::size_t j, tile_output to) HWY_ATTR {
                    const std::size_t panel_size = code_panel_size(a.cols());
                    const std::int32_t* const zero_point = columns.zero_point ? columns.zero_point + j : nullptr;
                    tile<Dot, Rows, Panels>(a.row_block(m, Rows), grids + m, row_sums ? row_sums + m : nullptr,
                                            panels + j / panel_width * panel_size, panel_size,
                                            {columns.scale + j, columns.sum + j, zero_point}, to,
                                            share_of(next, m, j, c));
                  });
  }

  /// Panels from the one at `panels`, panel_size bytes from one to the next; `columns` are those from its first.
  template <class Dot, std::size_t Rows, std::size_t Panels>
  static HWY_NOINLINE void tile(matrix_view<const std::uint8_t> a, const grid* grids, const std::int32_t* row_sums,
                                const std::uint8_t* panels, std::size_t panel_size, column_dequantization columns,
                                tile_output to, lines_ahead ahead) noexcept {
    constexpr std::size_t across = Panels * panel_vectors;
    prefetch<Rows, Panels>(to);
    sums32 sums[Rows * across];
    sum_products<Dot, Rows, Panels>(a, panels, panel_size, ahead, sums);
    if (columns.zero_point) subtract_zero_points<Rows, Panels>(grids, row_sums, a.cols(), columns.zero_point, sums);
    unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
      constexpr tag<float> d;
      constexpr tag<std::int32_t> di;
      const auto zero_point = hn::Set(di, grids[r].zero_point - Dot::activation_offset);
      const auto scale = hn::Set(d, grids[r].scale);
      const tile_output row = to.row(r);
      unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
        const auto exact =
            hn::Sub(sums[r * across + v], hn::Mul(zero_point, hn::LoadU(di, columns.sum + v * vector_length)));
        const auto value =
            hn::Mul(hn::ConvertTo(d, exact), hn::Mul(scale, hn::LoadU(d, columns.scale + v * vector_length)));
        hn::StoreU(hn::Add(row.load(v * vector_length), directions::rounded(value)), d, row.to + v * vector_length);
      });
    });
  }

  /// sums[Rows][Panels * 16] = a[Rows, k] * panels[Panels][k / 4][16][4]
  template <class Dot, std::size_t Rows, std::size_t Panels>
  static HWY_INLINE void sum_products(matrix_view<const std::uint8_t> a, const std::uint8_t* panels,
                                      std::size_t panel_size, lines_ahead ahead, sums32* sums) noexcept {
    constexpr hn::DFromV<codes8> d;
    constexpr std::size_t across = Panels * panel_vectors, size = Rows * across;
    constexpr std::size_t chains = size < least_sums ? least_sums / size : 1;
    unroll<size>([&](auto i) ZOQAT_INLINE_LAMBDA { sums[i] = hn::Zero(tag<std::int32_t>{}); });

    tile_input<std::uint8_t, Rows> rows(a.data(), a.stride());
    std::uint8_t last[Rows * word];
    std::fill_n(last, Rows * word, static_cast<std::uint8_t>(Dot::activation_offset));
    std::size_t left = a.cols() / word, rest = a.cols() % word;
    const std::size_t stretch = left / (ahead.count + 1) / chains * chains + chains;  // of steps between two lines
    for (;;) {
      decltype(Dot::zero()) products[chains * size];
      unroll<chains * size>([&](auto i) ZOQAT_INLINE_LAMBDA { products[i] = Dot::zero(); });
      const auto step = [&](auto chain) ZOQAT_INLINE_LAMBDA {
        decltype(Dot::weights(codes8{})) w[across];
        unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
          w[v] = Dot::weights(
              hn::LoadU(d, panels + v / panel_vectors * panel_size + v % panel_vectors * vector_length * word));
          keep_in_register(w[v]);
        });
        unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
          std::int32_t four;
          std::memcpy(&four, rows.row(r), word);
          const auto x = Dot::activations(hn::BitCast(d, hn::Set(tag<std::int32_t>{}, four)));
          unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
            auto& product = products[chain * size + r * across + v];
            product = Dot::accumulate(product, x, w[v]);
            keep_in_register(product);
          });
        });
        rows.advance(word);
        panels += panel_width * word;
      };
      std::size_t words = std::min(left, Dot::steps);
      left -= words;
      while (words >= chains) {
        ahead.ask();
        std::size_t now = std::min(words, stretch) / chains;
        words -= now * chains;
        do unroll<chains>(step);
        while (--now != 0);
      }
      if constexpr (chains > 1)
        for (; words != 0; --words) step(std::integral_constant<std::size_t, 0>{});
      unroll<chains * size>(
          [&](auto i) ZOQAT_INLINE_LAMBDA { sums[i % size] = hn::Add(sums[i % size], Dot::widen(products[i])); });
      if (left != 0) continue;
      if (rest == 0) return;
      // What is left of a row is less than a word; the rest of it must come to zero, whatever the panel has there.
      for (std::size_t r = 0; r != Rows; ++r) std::memcpy(last + r * word, a.row(r).data() + a.cols() - rest, rest);
      rows = tile_input<std::uint8_t, Rows>(last, word);
      left = 1;
      rest = 0;
    }
  }

  /// What the zero points of weights add: zero_point[j] * sum_k (a[m, k] - the row's zero point).
  template <std::size_t Rows, std::size_t Panels>
  static HWY_INLINE void subtract_zero_points(const grid* grids, const std::int32_t* row_sums, std::size_t k,
                                              const std::int32_t* zero_points, sums32* sums) noexcept {
    constexpr tag<std::int32_t> d;
    constexpr std::size_t across = Panels * panel_vectors;
    unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
      const auto zero_points_of_a = static_cast<std::uint32_t>(k) * static_cast<std::uint32_t>(grids[r].zero_point);
      const auto row_sum =
          hn::Set(d, static_cast<std::int32_t>(static_cast<std::uint32_t>(row_sums[r]) - zero_points_of_a));
      unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
        auto& sum = sums[r * across + v];
        sum = hn::Sub(sum, hn::Mul(row_sum, hn::LoadU(d, zero_points + v * vector_length)));
      });
    });
  }
#endif
};

}  // namespace zoqat::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

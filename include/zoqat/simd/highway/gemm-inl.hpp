// SPDX-License-Identifier: Apache-2.0

// Matrix products in floats, and the tiles that they share with those of codes.
//
// A tile of 12 rows x 2 panels takes 14 loads for 24 multiply-adds with AVX-512 (6 x 1: 8 for 12 with AVX2), so that
// it should run at the speed of the multiply-adds. Measured on Zen 5 by `bench/report --filter gemm`, one thread, 384
// rows, over OpenBLAS's sgemm: floats 0.98 at the worst of four shapes with AVX-512, 0.99 with AVX2; weights of 2
// and 4 bits, dequantized tile by tile, 4096 x 4096, 1.10 and 1.11 (1.03 and 1.03). What limits: laying out panels
// for few rows; by `bench/gemm --benchmark_filter=f32`, 4096 x 4096, in processor time, 32 rows run at 0.55 of the
// speed of 384 with AVX-512.

#if defined(ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP
#endif

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/highway/directions-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <bit>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

/// The largest tile of c: rows of `a` times panels side by side. Its sums stay in registers beside one row of the
/// panels and an element of `a`.
inline constexpr std::size_t tile_panels = panel_vectors == 1 ? 2 : 1;
inline constexpr std::size_t tile_sums = HWY_ARCH_ARM_A64 || HWY_MAX_BYTES == 64 ? 24 : HWY_NATIVE_FMA ? 12 : 8;
inline constexpr std::size_t tile_rows = HWY_TARGET == HWY_SCALAR ? 1 : tile_sums / (tile_panels * panel_vectors);

/// Sums that a tile needs for the latency of its multiply-adds to disappear: a tile of fewer has several of each.
inline constexpr std::size_t least_sums = HWY_MAX_BYTES == 64 ? 16 : 8;

/// Calls f.template operator()<Rows>(m) for tiles that cover the rows [m, count): of `Rows` rows first, of the powers
/// of two below then.
template <std::size_t Rows = tile_rows, class F>
HWY_INLINE void for_each_row_tile(std::size_t count, F f, std::size_t m = 0) {
  for (; m + Rows <= count; m += Rows) f.template operator()<Rows>(m);
  if constexpr (Rows > 1) for_each_row_tile<std::bit_floor(Rows - 1)>(count, f, m);
}

/// Where a tile goes, and what is added to it: row r of start, at r * start_stride, and the bias.
struct tile_output {
  const float* start;
  std::size_t start_stride;
  const float* bias;
  float* to;
  std::size_t stride;

  tile_output row(std::size_t r) const {
    return {start + r * start_stride, start_stride, bias, to + r * stride, stride};
  }
  /// The vector at column j of the first row.
  HWY_INLINE vector<float> load(std::size_t j) const {
    return hn::Add(hn::LoadU(tag<float>{}, start + j), hn::LoadU(tag<float>{}, bias + j));
  }
};

/// Asks for a tile's lines of c before its sums are done: the stores of a tile otherwise wait for them in turn.
template <std::size_t Rows, std::size_t Panels>
HWY_INLINE void prefetch(tile_output to) {
  for (std::size_t r = 0; r != Rows; ++r)
    for (std::size_t p = 0; p != Panels; ++p) __builtin_prefetch(to.to + r * to.stride + p * panel_width, 1);
}

inline constexpr float zeros[tile_panels * panel_width] = {};

/// The tiles of the columns [j, c.cols()) of c, fewer than a panel: by way of a copy, since tiles have whole panels.
template <class Tile>
HWY_INLINE void for_each_partial_tile(const float* bias, bool accumulate, matrix_view<float> c, Tile tile,
                                      std::size_t j) {
  const std::size_t columns = c.cols() - j;
  std::array<float, panel_width> biases{};
  if (bias) std::copy_n(bias + j, columns, biases.data());
  for_each_row_tile(c.rows(), [=]<std::size_t Rows>(std::size_t m) HWY_ATTR {
    const matrix_view<float> part = c.row_block(m, Rows).col_block(j, columns);
    std::array<float, Rows * panel_width> block{};
    for (std::size_t r = 0; accumulate && r != Rows; ++r)
      std::copy_n(part.row(r).data(), columns, block.data() + r * panel_width);
    tile.template operator()<Rows, 1>(
        m, j, tile_output{block.data(), panel_width, biases.data(), block.data(), panel_width});
    for (std::size_t r = 0; r != Rows; ++r) std::copy_n(block.data() + r * panel_width, columns, part.row(r).data());
  });
}

/// Calls tile.template operator()<Rows, Panels>(m, j, tile_output) for the tiles at (m, j) that cover the columns
/// [j, c.cols()) of c.
template <std::size_t Panels = tile_panels, class Tile>
HWY_INLINE void for_each_tile(const float* bias, bool accumulate, matrix_view<float> c, Tile tile,
                              std::size_t j = 0) {
  constexpr std::size_t width = Panels * panel_width;
  for (; j + width <= c.cols(); j += width) {
    const tile_output output{accumulate ? c.data() + j : zeros, accumulate ? c.stride() : 0, bias ? bias + j : zeros,
                             c.data() + j, c.stride()};
    for_each_row_tile(c.rows(), [=]<std::size_t Rows>(std::size_t m)
                                    HWY_ATTR { tile.template operator()<Rows, Panels>(m, j, output.row(m)); });
  }
  if constexpr (Panels > 1)
    for_each_tile<Panels / 2>(bias, accumulate, c, tile, j);
  else if (j != c.cols())
    for_each_partial_tile(bias, accumulate, c, tile, j);
}

/// The rows of a tile of `a`, three to a pointer, since an address may hold a stride and its double.
template <class T, std::size_t Rows>
struct tile_input {
  std::array<const T*, (Rows + 2) / 3> threes;
  std::size_t stride;

  HWY_INLINE tile_input(const T* a, std::size_t stride_of_a) : stride(stride_of_a) {
    unroll<(Rows + 2) / 3>([&](auto i) ZOQAT_INLINE_LAMBDA { threes[i] = a + 3 * i * stride; });
  }
  HWY_INLINE const T* row(std::size_t r) const { return threes[r / 3] + r % 3 * stride; }
  HWY_INLINE void advance(std::size_t n) {
    unroll<(Rows + 2) / 3>([&](auto i) ZOQAT_INLINE_LAMBDA {
      threes[i] += n;
      asm("" : "+r"(threes[i]));  // or GCC adds to all at once, in memory
    });
  }
};

struct gemm_kernels {
  static void gemm(matrix_view<const float> a, const float* panels, const float* bias, bool accumulate,
                   matrix_view<float> c) noexcept {
    gemm(a, panels, bias, accumulate, c, a.cols());
  }
  static void gemm(matrix_view<const float> a, const float* panels, const float* bias, bool accumulate,
                   matrix_view<float> c, std::size_t panel_depth) noexcept {
    for_each_tile(bias, accumulate, c,
                  [=]<std::size_t Rows, std::size_t Panels>(std::size_t m, std::size_t j, tile_output to) HWY_ATTR {
                    tile<Rows, Panels>(a.data() + m * a.stride(), a.stride(), a.cols(), panels + j * panel_depth,
                                       panel_depth * panel_width, to);
                  });
  }

  static void subtract_products(matrix_view<const float> a, const float* panels, matrix_view<float> c) noexcept {
    if (a.cols() == 0) return;  // then there are no panels
    constexpr tag<float> d;
    for (std::size_t j = 0; j != c.cols(); j += vector_length) {
      const float* const panel = panels + j / panel_width * float_panel_size(a.cols()) + j % panel_width;
      for_each_row_tile<rows_of_products>(c.rows(), [=]<std::size_t Rows>(std::size_t m) HWY_ATTR {
        vector<float> of_row[Rows];
        unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA { of_row[r] = hn::LoadU(d, c.row(m + r).data() + j); });
        for (std::size_t k = 0; k != a.cols(); ++k) {
          const auto w = hn::LoadU(d, panel + k * panel_width);
          unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
            of_row[r] = hn::Sub(of_row[r], directions::rounded(hn::Mul(hn::Set(d, a(m + r, k)), w)));
          });
        }
        unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA { hn::StoreU(of_row[r], d, c.row(m + r).data() + j); });
      });
    }
  }

 private:
  /// Rows side by side, so that none waits for its last difference.
  static constexpr std::size_t rows_of_products = 4;

  /// to[Rows][Panels * 16] = start + a[Rows, k] * panels[Panels][k][16]
  template <std::size_t Rows, std::size_t Panels>
  static HWY_NOINLINE void tile(const float* a, std::size_t stride, std::size_t k, const float* panels,
                                std::size_t panel_stride, tile_output to) noexcept {
    constexpr tag<float> d;
    constexpr std::size_t across = Panels * panel_vectors, size = Rows * across;
    prefetch<Rows, Panels>(to);
    // One sum for each element, whatever the tile: a row's bits do not depend on the rows beside it.
    vector<float> sums[size];
    unroll<size>([&](auto i) ZOQAT_INLINE_LAMBDA { sums[i] = to.row(i / across).load(i % across * vector_length); });
    tile_input<float, Rows> rows(a, stride);
    for (; k != 0; --k) {
      vector<float> w[across];
      unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
        w[v] = hn::LoadU(d, panels + v / panel_vectors * panel_stride + v % panel_vectors * vector_length);
      });
      unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
        const auto x = hn::Set(d, *rows.row(r));
        unroll<across>([&](auto v) ZOQAT_INLINE_LAMBDA {
          auto& sum = sums[r * across + v];
          sum = hn::MulAdd(x, w[v], sum);
          keep_in_register(sum);
        });
      });
      rows.advance(1);
      panels += panel_width;
    }
    unroll<size>([&](auto i) ZOQAT_INLINE_LAMBDA {
      hn::StoreU(sums[i], d, to.to + i / across * to.stride + i % across * vector_length);
    });
  }
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

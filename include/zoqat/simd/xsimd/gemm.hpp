// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>
#include <zoqat/simd/xsimd/panels.hpp>
#include <zoqat/simd/xsimd/rounded.hpp>

#include <cstring>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Matrix products, panel by panel: tiles of rows whose sums stay in registers.
template <class Arch>
struct gemm_kernels {
  static void gemm(matrix_view<const float> a, const float* panels, const float* bias, bool accumulate,
                   matrix_view<float> c) noexcept {
    gemm(a, panels, bias, accumulate, c, a.cols());
  }
  static void gemm(matrix_view<const float> a, const float* panels, const float* bias, bool accumulate,
                   matrix_view<float> c, std::size_t panel_depth) noexcept {
    for_each_tile(c, [&]<std::size_t Rows>(std::size_t m, std::size_t first, std::size_t count) {
      std::array<float, Rows * panel_width> products;
      multiply_floats<Rows>(a.data() + m * a.stride(), a.stride(), a.cols(),
                            panels + first / panel_width * float_panel_size(panel_depth), products.data());
      for (std::size_t r = 0; r != Rows; ++r) {
        float* const to = c.data() + (m + r) * c.stride() + first;
        const auto start = start_of(to, bias ? bias + first : nullptr, accumulate);
        for_each_batch<Arch>(count, [&](auto at, std::size_t j) {
          at.store(start(at, j) + floats::load_unaligned(products.data() + r * panel_width + j), to + j);
        });
      }
    });
  }

  static void subtract_products(matrix_view<const float> a, const float* panels, matrix_view<float> c) noexcept {
    if (a.cols() == 0) return;  // then there are no panels
    for (std::size_t j = 0; j != c.cols(); j += lanes) {
      const float* const panel = panels + j / panel_width * float_panel_size(a.cols()) + j % panel_width;
      for_each_rows<4>(c.rows(), [&]<std::size_t Rows>(std::size_t m) {
        std::array<floats, Rows> of_row;
        for (std::size_t r = 0; r != Rows; ++r) of_row[r] = floats::load_unaligned(c.row(m + r).data() + j);
        for (std::size_t k = 0; k != a.cols(); ++k)
          for (std::size_t r = 0; r != Rows; ++r)
            of_row[r] -= rounded<Arch>(floats(a(m + r, k)) * floats::load_unaligned(panel + k * panel_width));
        for (std::size_t r = 0; r != Rows; ++r) of_row[r].store_unaligned(c.row(m + r).data() + j);
      });
    }
  }

  template <int ActivationBits, int WeightBits>
  static void gemm(matrix_view<const std::uint8_t> a, const grid* grids, const std::int32_t* row_sums,
                   const std::uint8_t* panels, const column_dequantization& columns, const float* bias,
                   bool accumulate, matrix_view<float> c, prefetch_hint = {}) noexcept {
    constexpr int largest_weight = WeightBits < 8 ? (1 << WeightBits) - 1 : 128;
    constexpr std::size_t steps = 0x7fff / (((1 << ActivationBits) - 1) * largest_weight);  // that 16 bits hold
    multiply_codes(a, steps, grids, row_sums, panels, columns, bias, accumulate, c);
  }

  template <int ActivationBits, int WeightBits>
  static void add_parts(const code_parts& parts, matrix_view<float> c) noexcept {
    detail::add_parts_one_by_one<gemm_kernels, ActivationBits, WeightBits>(parts, c);
  }

 private:
  using floats = xsimd::batch<float, Arch>;
  using pairs = xsimd::batch<std::int16_t, Arch>;
  using words32 = xsimd::batch<std::uint32_t, Arch>;
  using integers = xsimd::batch<std::int32_t, Arch>;
  static constexpr std::size_t word = 4;  // codes
  static constexpr std::size_t lanes = floats::size, across = panel_width / lanes;

  // The product of codes of any widths: `steps` products of one add up in 16 bits.
  static void multiply_codes(matrix_view<const std::uint8_t> a, std::size_t steps, const grid* grids,
                             const std::int32_t* row_sums, const std::uint8_t* panels,
                             const column_dequantization& columns, const float* bias, bool accumulate,
                             matrix_view<float> c) noexcept {
    const auto k = static_cast<std::uint32_t>(a.cols());
    for_each_tile(c, [&]<std::size_t Rows>(std::size_t m, std::size_t first, std::size_t count) {
      std::array<std::int32_t, Rows * panel_width> products{};
      multiply_rows<Rows>(a.row_block(m, Rows), steps, panels + first / panel_width * code_panel_size(a.cols()),
                          products.data());
      for (std::size_t r = 0; r != Rows; ++r) {
        const auto zero_point = static_cast<std::uint32_t>(grids[m + r].zero_point);
        const std::uint32_t centered =
            columns.zero_point ? static_cast<std::uint32_t>(row_sums[m + r]) - k * zero_point : 0;
        std::int32_t* const exact = products.data() + r * panel_width;
        correct(columns, first, zero_point, centered, exact);
        float* const to = c.data() + (m + r) * c.stride() + first;
        scale(exact, grids[m + r].scale, columns.scale + first,
              start_of(to, bias ? bias + first : nullptr, accumulate), count, to);
      }
    });
  }

  // Calls tile<Rows>(m, first, count) for tiles that cover c: `Rows` rows from m on, `count` columns of a panel.
  template <class Tile>
  static void for_each_tile(matrix_view<float> c, Tile tile) noexcept {
    for (std::size_t first = 0; first < c.cols(); first += panel_width) {
      const std::size_t count = std::min(panel_width, c.cols() - first);
      for_each_rows(c.rows(),
                    [&]<std::size_t Rows>(std::size_t m) { tile.template operator()<Rows>(m, first, count); });
    }
  }
  // Calls f<Rows>(m) for tiles that cover `count` rows, at first of as many as keep eight sums.
  template <std::size_t Rows = 8 / across, class F>
  static void for_each_rows(std::size_t count, F f, std::size_t m = 0) noexcept {
    for (; m + Rows <= count; m += Rows) f.template operator()<Rows>(m);
    if constexpr (Rows > 1) for_each_rows<Rows / 2>(count, f, m);
  }
  // (at, j) -> what columns of c start from.
  static auto start_of(const float* c, const float* bias, bool accumulate) noexcept {
    return [=](auto at, std::size_t j) {
      return (accumulate ? at.load(c + j) : floats(0.0f)) + (bias ? at.load(bias + j) : floats(0.0f));
    };
  }

  // products[Rows][16] = a[Rows, k] * panel[k][16]
  template <std::size_t Rows>
  static void multiply_floats(const float* a, std::size_t stride, std::size_t k, const float* panel,
                              float* products) noexcept {
    std::array<floats, Rows * across> sums;
    sums.fill(floats(0.0f));
    for (std::size_t i = 0; i != k; ++i, panel += panel_width)
      for (std::size_t s = 0; s != sums.size(); ++s)
        sums[s] = xsimd::fma(floats(a[s / across * stride + i]), floats::load_unaligned(panel + s % across * lanes),
                             sums[s]);
    for (std::size_t s = 0; s != sums.size(); ++s) sums[s].store_unaligned(products + s * lanes);
  }

  // sums[Rows][16] += a[Rows, k] * panel[k][16]; the last codes of a, less than a word, are filled up with zeros.
  template <std::size_t Rows>
  static void multiply_rows(matrix_view<const std::uint8_t> a, std::size_t steps, const std::uint8_t* panel,
                            std::int32_t* sums) noexcept {
    const std::size_t words = a.cols() / word, rest = a.cols() % word;
    multiply_words<Rows>(a.data(), a.stride(), words, steps, panel, sums);
    if (rest == 0) return;
    std::array<std::uint8_t, Rows * word> last{};
    for (std::size_t r = 0; r != Rows; ++r)
      std::memcpy(last.data() + r * word, a.data() + r * a.stride() + words * word, rest);
    multiply_words<Rows>(last.data(), word, 1, steps, panel + words * panel_row, sums);
  }
  // The same of whole words, the codes at even places first, then those at odd places: in 16 bits each, so that a
  // product, of 15 bits and a sign at most, meets its partner, and the sums are those of neighbors.
  template <std::size_t Rows>
  static void multiply_words(const std::uint8_t* a, std::size_t stride, std::size_t words, std::size_t steps,
                             const std::uint8_t* panel, std::int32_t* sums) noexcept {
    for (const int odd : {0, 8})
      for (std::size_t first = 0; first < words; first += steps) {
        std::array<pairs, Rows * across> products;
        products.fill(pairs(std::int16_t{0}));
        for (std::size_t i = first; i != std::min(words, first + steps); ++i)
          for (std::size_t column = 0; column != across; ++column) {
            const pairs w = signed_halves(load_words<Arch>(panel + i * panel_row + column * lanes * word), odd);
            for (std::size_t r = 0; r != Rows; ++r) {
              std::uint32_t four;
              std::memcpy(&four, a + r * stride + i * word, word);
              products[r * across + column] += halves(words32(four), odd) * w;
            }
          }
        for (std::size_t p = 0; p != products.size(); ++p) add_neighbors(products[p], sums + p * lanes);
      }
  }
  static pairs halves(const words32& v, int shift) noexcept {
    return bits_as<pairs>((v >> shift) & words32(0x00ff00ffu));
  }
  static pairs signed_halves(const words32& v, int shift) noexcept {
    return bits_as<pairs>(((v >> shift) & words32(0x00ff00ffu)) ^ words32(0x00800080u)) - pairs(std::int16_t{0x80});
  }
  static void add_neighbors(const pairs& products, std::int32_t* sums) noexcept {
    const auto both = bits_as<integers>(products);
    (integers::load_unaligned(sums) + ((both << 16) >> 16) + (both >> 16)).store_unaligned(sums);
  }

  // Takes the zero points out of the sums of a row and 16 columns. The steps may wrap; the result does not.
  static void correct(const column_dequantization& columns, std::size_t first, std::uint32_t zero_point,
                      std::uint32_t centered, std::int32_t* exact) noexcept {
    for (std::size_t j = 0; j != panel_width; ++j) {
      const auto of_column = static_cast<std::uint32_t>(columns.zero_point ? columns.zero_point[first + j] : 0);
      exact[j] = static_cast<std::int32_t>(static_cast<std::uint32_t>(exact[j]) -
                                           zero_point * static_cast<std::uint32_t>(columns.sum[first + j]) -
                                           of_column * centered);
    }
  }
  // to = start + exact * (row's scale * column's scale)
  template <class Start>
  static void scale(const std::int32_t* exact, float row, const float* columns, Start start, std::size_t count,
                    float* to) noexcept {
    for_each_batch<Arch>(count, [&](auto at, std::size_t j) {
      const floats factor = floats(row) * floats::load_unaligned(columns + j);
      const floats value = rounded<Arch>(xsimd::to_float(integers::load_unaligned(exact + j)) * factor);
      at.store(start(at, j) + value, to + j);
    });
  }
};

}  // namespace zoqat::simd::xsimd_detail

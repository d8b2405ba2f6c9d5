// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>

#include <cstring>

namespace zoqat::simd::xsimd_detail {

/// Panels and matrix products.
template <class Arch>
struct gemm_kernels {
  static void pack_panel(matrix_view<const float> rows, float* panel) noexcept {
    std::fill_n(panel, float_panel_size(rows.cols()), 0.0f);
    for (std::size_t j = 0; j != rows.rows(); ++j) {
      const float* const row = rows.row(j).data();
      for (std::size_t k = 0; k != rows.cols(); ++k) panel[k * panel_width + j] = row[k];
    }
  }
  static void pack_panel(matrix_view<const std::uint8_t> rows, std::uint8_t* panel) noexcept {
    std::fill_n(panel, code_panel_size(rows.cols()), std::uint8_t{0});
    for (std::size_t j = 0; j != rows.rows(); ++j) {
      const std::uint8_t* const row = rows.row(j).data();
      for (std::size_t k = 0; k < rows.cols(); k += word)
        std::memcpy(panel + k * panel_width + j * word, row + k, std::min(word, rows.cols() - k));
    }
  }

  static void gemm_panel(matrix_view<const float> a, const float* panel, const float* bias, bool accumulate,
                         matrix_view<float> c) noexcept {
    for_each_tile(a.rows(), [&]<std::size_t Rows>(std::size_t m) {
      std::array<float, Rows * panel_width> products;
      multiply_floats<Rows>(a.data() + m * a.stride(), a.stride(), a.cols(), panel, products.data());
      for (std::size_t r = 0; r != Rows; ++r) {
        float* const to = c.data() + (m + r) * c.stride();
        const float* const start = accumulate ? to : bias;
        for (std::size_t j = 0; j != c.cols(); ++j)
          to[j] = products[r * panel_width + j] + (start ? start[j] : 0.0f);
      }
    });
  }

  template <int ActivationBits, int WeightBits>
  static void gemm_panel(matrix_view<const std::uint8_t> a, const std::int32_t*, const std::uint8_t* panel,
                         std::int32_t* sums) noexcept {
    constexpr std::uint32_t largest = ((1 << ActivationBits) - 1) * ((1 << WeightBits) - 1);
    for_each_tile(a.rows(), [&]<std::size_t Rows>(std::size_t m) {
      std::int32_t* const to = sums + m * panel_width;
      std::fill_n(to, Rows * panel_width, 0);
      const std::uint8_t* const row = a.data() + m * a.stride();
      const std::size_t words = a.cols() / word, rest = a.cols() % word;
      multiply_codes<Rows, largest>(row, a.stride(), words, panel, to);
      if (rest == 0) return;
      std::array<std::uint8_t, Rows * word> last{};
      for (std::size_t r = 0; r != Rows; ++r)
        std::memcpy(last.data() + r * word, row + r * a.stride() + words * word, rest);
      multiply_codes<Rows, largest>(last.data(), word, 1, panel + words * panel_width * word, to);
    });
  }

 private:
  using floats = xsimd::batch<float, Arch>;
  using bytes = xsimd::batch<std::uint8_t, Arch>;
  using pairs = xsimd::batch<std::uint16_t, Arch>;
  using words32 = xsimd::batch<std::uint32_t, Arch>;
  static constexpr std::size_t word = 4;  // codes
  static constexpr std::size_t lanes = floats::size, across = panel_width / lanes;

  // Calls tile<Rows>(m) for tiles that cover `count` rows, at first of as many as keep eight sums.
  template <std::size_t Rows = 8 / across, class Tile>
  static void for_each_tile(std::size_t count, Tile tile, std::size_t m = 0) noexcept {
    for (; m + Rows <= count; m += Rows) tile.template operator()<Rows>(m);
    if constexpr (Rows > 1) for_each_tile<Rows / 2>(count, tile, m);
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

  // sums[Rows][16] += a[Rows, words] * panel[words][16], the codes at even places first, then those at odd places: in
  // 16 bits each, so that a product of up to 16 bits meets its partner, and the sums are those of neighbours.
  template <std::size_t Rows, std::uint32_t Largest>
  static void multiply_codes(const std::uint8_t* a, std::size_t stride, std::size_t words, const std::uint8_t* panel,
                             std::int32_t* sums) noexcept {
    constexpr std::size_t steps = 0xffff / Largest;  // that 16 bits hold
    for (const int odd : {0, 8})
      for (std::size_t first = 0; first < words; first += steps) {
        std::array<pairs, Rows * across> products;
        products.fill(pairs(std::uint16_t{0}));
        for (std::size_t i = first; i != std::min(words, first + steps); ++i)
          for (std::size_t p = 0; p != products.size(); ++p) {
            std::uint32_t four;
            std::memcpy(&four, a + p / across * stride + i * word, word);
            const auto w = bytes::load_unaligned(panel + (i * panel_width + p % across * lanes) * word);
            products[p] += halves(words32(four), odd) * halves(xsimd::bitwise_cast<words32>(w), odd);
          }
        for (std::size_t p = 0; p != products.size(); ++p) {
          const auto both = xsimd::bitwise_cast<words32>(products[p]);
          std::int32_t* const to = sums + p * lanes;
          const auto sum = (both & words32(0xffffu)) + (both >> 16);
          (xsimd::batch<std::int32_t, Arch>::load_unaligned(to) +
           xsimd::bitwise_cast<xsimd::batch<std::int32_t, Arch>>(sum)).store_unaligned(to);
        }
      }
  }
  static pairs halves(const words32& v, int shift) noexcept {
    return xsimd::bitwise_cast<pairs>((v >> shift) & words32(0x00ff00ffu));
  }
};

}  // namespace zoqat::simd::xsimd_detail

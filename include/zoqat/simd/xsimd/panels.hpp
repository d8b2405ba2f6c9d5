// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>

#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Code `i` of every word of a code panel's row, as integers.
template <class Arch>
[[gnu::always_inline]] inline xsimd::batch<std::int32_t, Arch> code_of(const xsimd::batch<std::uint32_t, Arch>& four,
                                                                       std::size_t i) noexcept {
  const auto code = (four >> static_cast<int>(8 * i)) & xsimd::batch<std::uint32_t, Arch>(0xffu);
  return bits_as<xsimd::batch<std::int32_t, Arch>>(code);
}

/// The words of the columns from `from` on: four codes each.
template <class Arch>
[[gnu::always_inline]] inline xsimd::batch<std::uint32_t, Arch> load_words(const std::uint8_t* from) noexcept {
  return bits_as<xsimd::batch<std::uint32_t, Arch>>(xsimd::batch<std::uint8_t, Arch>::load_unaligned(from));
}

/// Layouts of panels.
template <class Arch>
struct panel_kernels {
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
      for (std::size_t k = 0; k < rows.cols(); k += 4)
        std::memcpy(panel + k * panel_width + j * 4, row + k, std::min<std::size_t>(4, rows.cols() - k));
    }
  }

  static void dequantize_panel(const std::uint8_t* codes, std::size_t first, std::size_t k, const grid* grids,
                               float* panel) noexcept {
    using floats = xsimd::batch<float, Arch>;
    using integers = xsimd::batch<std::int32_t, Arch>;
    std::array<float, panel_width> scales, minima;
    std::array<std::int32_t, panel_width> zero_points;
    for (std::size_t j = 0; j != panel_width; ++j)
      scales[j] = grids[j].scale, zero_points[j] = grids[j].zero_point, minima[j] = grids[j].minimum;
    for (std::size_t i = first; i != first + k; ++i)
      for (std::size_t j = 0; j != panel_width; j += floats::size, panel += floats::size) {
        const integers code = code_of<Arch>(load_words<Arch>(codes + i / 4 * panel_row + j * 4), i % 4);
        const auto centered = xsimd::to_float(code - integers::load_unaligned(zero_points.data() + j));
        const floats value = floats::load_unaligned(scales.data() + j) * centered;
        (value - floats::load_unaligned(minima.data() + j)).store_unaligned(panel);
      }
  }
};

}  // namespace zoqat::simd::xsimd_detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/xsimd/packing.hpp>
#include <zoqat/simd/xsimd/panels.hpp>
#include <zoqat/simd/xsimd/rounded.hpp>

#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Products of few rows with packed panels, a block at a time: its codes stay in the cache nearest.
template <class Arch>
struct gemv_kernels {
  template <int Bits>
  static void gemv(const float* x, std::size_t k, const std::uint8_t* bytes, float* sums) noexcept {
    std::array<floats, across> totals;
    totals.fill(floats(0.0f));
    for_each_block(k, [&](std::size_t block, std::size_t rows) {
      const std::size_t first = block * block_depth, depth = std::min(block_depth, k - first);
      std::array<std::uint8_t, block_rows * panel_row> codes;
      std::array<float, block_depth> values{};  // beyond x: zeros, which meet the last codes of a word
      std::copy_n(x + first, depth, values.begin());
      packing_kernels<Arch>::template unpack<Bits>(bytes + block * sizeof(packed_block<Bits>), depth, nullptr,
                                                   codes.data());
      for (std::size_t row = 0; row != rows; ++row)
        add_row(values.data() + 4 * row, codes.data() + row * panel_row, totals);
    });
    for (std::size_t c = 0; c != across; ++c) totals[c].store_unaligned(sums + c * lanes);
  }

  template <int Bits>
  static void add_groups(const packed_groups& groups, float* totals) noexcept {
    detail::add_groups_one_by_one<gemv_kernels, Bits>(groups, totals);
  }

  template <int ActivationBits, int WeightBits>
  static void add_packed_parts(const packed_parts& p, matrix_view<float> c) noexcept {
    for (std::size_t m = 0; m != c.rows(); ++m)
      for (std::size_t first = 0, part = 0; first < p.a.cols(); first += p.depth, ++part) {
        const std::size_t depth = std::min(p.depth, p.a.cols() - first);
        const std::size_t at = first / p.weight_group * panel_width;
        const grid& of_row = p.grids(first / p.group, m);
        std::array<integers, across> sums;
        sums.fill(integers(0));
        for (std::size_t k = first; k != first + depth;)
          k += add_block<WeightBits>(p, m, of_row.zero_point, k, first + depth, sums);
        const std::int32_t centered = p.row_sums(part, m) - static_cast<std::int32_t>(depth) * of_row.zero_point;
        for (std::size_t v = 0; v != across; ++v) {
          std::array<std::int32_t, lanes> zero_points;
          for (std::size_t j = 0; j != lanes; ++j)
            zero_points[j] = p.zero_points ? p.zero_points[at + v * lanes + j] : p.zero_point;
          const auto exact = sums[v] - integers(centered) * integers::load_unaligned(zero_points.data());
          const floats scale = floats(of_row.scale) * floats::load_unaligned(p.scales + at + v * lanes);
          float* const to = c.row(m).data() + v * lanes;
          const floats start = floats::load_unaligned(to) + floats(0.0f);
          (start + rounded<Arch>(xsimd::to_float(exact) * scale)).store_unaligned(to);
        }
      }
  }

 private:
  using floats = xsimd::batch<float, Arch>;
  using integers = xsimd::batch<std::int32_t, Arch>;
  static constexpr std::size_t lanes = floats::size, across = panel_width / lanes;

  // totals += four values times a row of a code panel.
  static void add_row(const float* values, const std::uint8_t* codes, std::array<floats, across>& totals) noexcept {
    for (std::size_t c = 0; c != across; ++c) {
      const auto four = load_words<Arch>(codes + c * lanes * 4);
      for (std::size_t i = 0; i != 4; ++i)
        totals[c] = xsimd::fma(floats(values[i]), xsimd::to_float(code_of<Arch>(four, i)), totals[c]);
    }
  }
  // sums += (row m of a - its zero point) * the codes of the block that has column k, up to column `end`; returns how
  // many columns that were.
  template <int Bits>
  static std::size_t add_block(const packed_parts& p, std::size_t m, std::int32_t zero_point, std::size_t k,
                               std::size_t end, std::array<integers, across>& sums) noexcept {
    const std::size_t block = k / block_depth, before = k % block_depth;
    const std::size_t count = std::min(block_depth - before, end - k);
    std::array<std::uint8_t, block_rows * panel_row> codes;
    packing_kernels<Arch>::template unpack<Bits>(p.panel + block * sizeof(packed_block<Bits>), before + count,
                                                 nullptr, codes.data());
    for (std::size_t i = before; i != before + count; ++i)
      for (std::size_t v = 0; v != across; ++v)
        sums[v] += integers(p.a(m, k - before + i) - zero_point) *
                   code_of<Arch>(load_words<Arch>(codes.data() + i / 4 * panel_row + v * lanes * 4), i % 4);
    return count;
  }
};

}  // namespace zoqat::simd::xsimd_detail

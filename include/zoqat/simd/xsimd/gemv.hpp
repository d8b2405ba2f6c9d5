// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/xsimd/packing.hpp>
#include <zoqat/simd/xsimd/panels.hpp>

#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Products of one row with packed panels, a block at a time: its codes stay in the cache nearest.
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

 private:
  using floats = xsimd::batch<float, Arch>;
  static constexpr std::size_t lanes = floats::size, across = panel_width / lanes;

  // totals += four values times a row of a code panel.
  static void add_row(const float* values, const std::uint8_t* codes, std::array<floats, across>& totals) noexcept {
    for (std::size_t c = 0; c != across; ++c) {
      const auto four = load_words<Arch>(codes + c * lanes * 4);
      for (std::size_t i = 0; i != 4; ++i)
        totals[c] = xsimd::fma(floats(values[i]), xsimd::to_float(code_of<Arch>(four, i)), totals[c]);
    }
  }
};

}  // namespace zoqat::simd::xsimd_detail

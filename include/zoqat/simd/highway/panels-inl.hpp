// SPDX-License-Identifier: Apache-2.0

// Panels of weights (layout: simd/kernels.hpp). Either kind is a transpose of 32-bit words: floats, or four codes.

#if defined(ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP
#endif

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::simd::HWY_NAMESPACE {

struct panel_kernels {
  static void pack_panel(matrix_view<const float> rows, float* panel) noexcept {
    transpose(bytes_of(rows), rows.cols(), reinterpret_cast<std::uint8_t*>(panel));
  }
  static void pack_panel(matrix_view<const std::uint8_t> rows, std::uint8_t* panel) noexcept {
    const std::size_t words = rows.cols() / word, rest = rows.cols() % word;
    transpose(rows, words, panel);
    if (rest == 0) return;
    std::uint8_t* const last = panel + words * panel_width * word;
    std::memset(last, 0, panel_width * word);
    for (std::size_t j = 0; j != rows.rows(); ++j)
      std::memcpy(last + j * word, rows.row(j).data() + words * word, rest);
  }

 private:
  using bytes = matrix_view<const std::uint8_t>;
  static constexpr std::size_t word = 4;

  static bytes bytes_of(matrix_view<const float> m) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(m.data()), m.rows(), m.cols() * word, m.stride() * word};
  }

  // panel[w][j] = word w of row j for w < words, j < 16; the rows that are missing are zero.
  static void transpose(bytes rows, std::size_t words, std::uint8_t* panel) noexcept {
    std::size_t done = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; done + 4 <= words; done += 4)
      for (std::size_t j = 0; j != panel_width; j += 4) transpose_4x4(rows, j, done, panel);
#endif
    for (; done != words; ++done)
      for (std::size_t j = 0; j != panel_width; ++j) {
        std::uint8_t* const to = panel + (done * panel_width + j) * word;
        if (j < rows.rows())
          std::memcpy(to, rows.data() + j * rows.stride() + done * word, word);
        else
          std::memset(to, 0, word);
      }
  }

#if HWY_TARGET != HWY_SCALAR
  // Words [w, w + 4) of the rows [j, j + 4).
  static HWY_INLINE void transpose_4x4(bytes rows, std::size_t j, std::size_t w, std::uint8_t* panel) noexcept {
    constexpr hn::Full128<std::uint8_t> d8;
    constexpr hn::Full128<std::uint32_t> d32;
    constexpr hn::Full128<std::uint64_t> d64;
    const auto row = [=](std::size_t i) HWY_ATTR {
      return j + i < rows.rows()
                 ? hn::BitCast(d32, hn::LoadU(d8, rows.data() + (j + i) * rows.stride() + w * word))
                 : hn::Zero(d32);
    };
    const auto store = [=](std::size_t i, auto v) HWY_ATTR {
      hn::StoreU(hn::BitCast(d8, v), d8, panel + ((w + i) * panel_width + j) * word);
    };
    const auto r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3);
    const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d32, r0, r1));
    const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d32, r2, r3));
    const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d32, r0, r1));
    const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d32, r2, r3));
    store(0, hn::InterleaveLower(d64, low01, low23));
    store(1, hn::InterleaveUpper(d64, low01, low23));
    store(2, hn::InterleaveLower(d64, high01, high23));
    store(3, hn::InterleaveUpper(d64, high01, high23));
  }
#endif
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

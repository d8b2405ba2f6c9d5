// SPDX-License-Identifier: Apache-2.0

// Panels of weights (layout: simd/kernels.hpp). Either kind is a transpose of 32-bit words: floats, or four codes.

#if defined(ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_PANELS_INL_HPP
#endif

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/highway/packing-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/reference.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE {

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

  static void dequantize_panel(const std::uint8_t* codes, std::size_t first, std::size_t k, const grid* grids,
                               float* panel) noexcept {
#if HWY_TARGET == HWY_SCALAR
    reference::dequantize_panel(codes, first, k, grids, panel);
#else
    std::array<float, panel_width> scales, minima;
    std::array<std::int32_t, panel_width> zero_points;
    for (std::size_t j = 0; j != panel_width; ++j)
      scales[j] = grids[j].scale, zero_points[j] = grids[j].zero_point, minima[j] = grids[j].minimum;
    for (std::size_t j = 0; j != panel_width; j += vector_length) {
      const auto scale = hn::LoadU(tag<float>{}, scales.data() + j);
      const auto zero_point = hn::LoadU(tag<std::int32_t>{}, zero_points.data() + j);
      const auto minimum = hn::LoadU(tag<float>{}, minima.data() + j);
      const auto write = [=](code_words row_of_codes, std::size_t i) ZOQAT_INLINE_LAMBDA {
        const auto code = hn::And(row_of_codes, hn::Set(tag<std::uint32_t>{}, 0xff));
        const auto steps = hn::Sub(hn::BitCast(tag<std::int32_t>{}, code), zero_point);
        hn::StoreU(hn::MulSub(scale, hn::ConvertTo(tag<float>{}, steps), minimum), tag<float>{},
                   panel + (i - first) * panel_width + j);
      };
      const auto row = [=](std::size_t i) HWY_ATTR { return load_words(codes + i / 4 * panel_row + j * 4); };
      std::size_t i = first;
      for (; i % 4 != 0 && i != first + k; ++i) write(hn::ShiftRightSame(row(i), static_cast<int>(i % 4 * 8)), i);
      for (; i + 4 <= first + k; i += 4)
        unroll<4>([&](auto f) ZOQAT_INLINE_LAMBDA { write(shift<-8 * static_cast<int>(f)>(row(i)), i + f); });
      for (; i != first + k; ++i) write(hn::ShiftRightSame(row(i), static_cast<int>(i % 4 * 8)), i);
    }
#endif
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
    if (rows.rows() == panel_width)
      for (; done + 4 <= words; done += 4)
        for (std::size_t j = 0; j != panel_width; j += vector_length) transpose_4(rows, j, done, panel);
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
  // Words [w, w + 4) of the rows [j, j + vector_length): each 128 bits of a vector transpose four rows.
  static HWY_INLINE void transpose_4(bytes rows, std::size_t j, std::size_t w, std::uint8_t* panel) noexcept {
    constexpr hn::Repartition<std::uint8_t, tag<std::uint32_t>> d8;
    constexpr tag<std::uint32_t> d32;
    constexpr hn::Repartition<std::uint64_t, decltype(d32)> d64;
    const auto row = [=](std::size_t i) ZOQAT_INLINE_LAMBDA {
      return hn::BitCast(d32, every_fourth(d8, rows.data() + (j + i) * rows.stride() + w * word, rows.stride()));
    };
    const auto store = [=](std::size_t i, auto v) ZOQAT_INLINE_LAMBDA {
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
  // 16 bytes of every fourth row, as many as fill a vector.
  template <class D>
  static HWY_INLINE hn::Vec<D> every_fourth(D d, const std::uint8_t* from, std::size_t stride) noexcept {
    if constexpr (hn::MaxLanes(D{}) == 16) {
      return hn::LoadU(d, from);
    } else {
      constexpr hn::Half<D> half;
      const std::size_t upper = hn::MaxLanes(half) / 16 * 4 * stride;
      return hn::Combine(d, every_fourth(half, from + upper, stride), every_fourth(half, from, stride));
    }
  }
#endif
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

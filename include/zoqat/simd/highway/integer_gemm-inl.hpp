// SPDX-License-Identifier: Apache-2.0

// Matrix products of codes.

#if defined(ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_INTEGER_GEMM_INL_HPP
#endif

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/highway/dot4-inl.hpp>
#include <zoqat/simd/highway/gemm-inl.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/reference.hpp>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace zoqat::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE {

struct integer_gemm_kernels {
  template <int ActivationBits, int WeightBits>
  static void gemm_panel(matrix_view<const std::uint8_t> a, const std::int32_t* row_sums, const std::uint8_t* panel,
                         std::int32_t* sums) noexcept {
#if HWY_TARGET == HWY_SCALAR
    reference::gemm_panel<ActivationBits, WeightBits>(a, row_sums, panel, sums);
#else
    using dot = dot4<ActivationBits, WeightBits>;
    for_each_tile(a.rows(), [=]<std::size_t Rows>(std::size_t m) HWY_ATTR {
      std::int32_t* const to = sums + m * panel_width;
      for (std::size_t r = 0; r != Rows; ++r)
        std::fill_n(to + r * panel_width, panel_width, dot::offset ? dot::offset * row_sums[m + r] : 0);
      const std::uint8_t* const row = a.data() + m * a.stride();
      const std::size_t words = a.cols() / word, rest = a.cols() % word;
      multiply_add<dot, Rows>(row, a.stride(), words, panel, to);
      if (rest == 0) return;
      std::uint8_t last[Rows * word] = {};
      for (std::size_t r = 0; r != Rows; ++r)
        std::memcpy(last + r * word, row + r * a.stride() + words * word, rest);
      multiply_add<dot, Rows>(last, word, 1, panel + words * panel_width * word, to);
    });
#endif
  }

 private:
  static constexpr std::size_t word = 4;  // codes

#if HWY_TARGET != HWY_SCALAR
  // sums[Rows][16] += a[Rows, words] * panel[words][16]
  template <class Dot, std::size_t Rows>
  static HWY_INLINE void multiply_add(const std::uint8_t* a, std::size_t stride, std::size_t words,
                                      const std::uint8_t* panel, std::int32_t* sums) noexcept {
    constexpr tag<std::int32_t> d;
    constexpr hn::DFromV<codes8> d8;
    for (std::size_t i = 0; i != words;) {
      decltype(Dot::zero()) products[Rows * panel_vectors];
      unroll<Rows * panel_vectors>([&](auto p) ZOQAT_INLINE_LAMBDA { products[p] = Dot::zero(); });
      for (const std::size_t end = std::min(words, i + Dot::steps); i != end; ++i, panel += panel_width * word) {
        decltype(Dot::weights(codes8{})) w[panel_vectors];
        unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
          w[v] = Dot::weights(hn::LoadU(d8, panel + v * lanes * word));
        });
        unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
          std::int32_t four;
          std::memcpy(&four, a + r * stride + i * word, word);
          const auto x = Dot::activations(hn::BitCast(d8, hn::Set(d, four)));
          unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
            auto& product = products[r * panel_vectors + v];
            product = Dot::accumulate(product, x, w[v]);
          });
        });
      }
      unroll<Rows * panel_vectors>([&](auto p) ZOQAT_INLINE_LAMBDA {
        std::int32_t* const to = sums + p * lanes;
        hn::StoreU(hn::Add(hn::LoadU(d, to), Dot::widen(products[p])), d, to);
      });
    }
  }
#endif
};

}  // namespace zoqat::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// SPDX-License-Identifier: Apache-2.0

// Matrix products in floats, and the tiles of rows that they share with those in integers.

#if defined(ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_GEMM_INL_HPP
#endif

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/highway/vectors-inl.hpp>
#include <zoqat/simd/kernels.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::simd::HWY_NAMESPACE {

/// Vectors across a panel.
inline constexpr std::size_t panel_vectors = panel_width / lanes;

/// Rows of `a` in a tile, whose accumulators stay in registers beside one row of the panel and an element of `a`.
inline constexpr std::size_t tile_rows = HWY_TARGET == HWY_SCALAR ? 1
                                         : HWY_ARCH_ARM_A64       ? 24 / panel_vectors
                                         : HWY_NATIVE_FMA         ? 12 / panel_vectors
                                                                  : 8 / panel_vectors;

/// Calls tile.template operator()<Rows>(m) for tiles that cover the rows [m, count): of `Rows` rows first, of half as
/// many then.
template <std::size_t Rows = tile_rows, class Tile>
HWY_INLINE void for_each_tile(std::size_t count, Tile tile, std::size_t m = 0) {
  for (; m + Rows <= count; m += Rows) tile.template operator()<Rows>(m);
  if constexpr (Rows > 1) for_each_tile<Rows / 2>(count, tile, m);
}

struct gemm_kernels {
  static void gemm_panel(matrix_view<const float> a, const float* panel, const float* bias, bool accumulate,
                         matrix_view<float> c) noexcept {
    for_each_tile(a.rows(), [=]<std::size_t Rows>(std::size_t m) HWY_ATTR {
      std::array<float, Rows * panel_width> products;
      product<Rows>(a.data() + m * a.stride(), a.stride(), a.cols(), panel, products.data());
      for (std::size_t r = 0; r != Rows; ++r) {
        const float* const product = products.data() + r * panel_width;
        float* const to = c.data() + (m + r) * c.stride();
        const float* const start = accumulate ? to : bias;
        for_each_vector(c.cols(), [=](auto at, std::size_t j) HWY_ATTR {
          const auto v = hn::LoadU(tag<float>{}, product + j);
          at.store(start ? hn::Add(v, at.load(start + j)) : v, to + j);
        });
      }
    });
  }

 private:
  // products[Rows][16] = a[Rows, k] * panel[k][16]
  template <std::size_t Rows>
  static HWY_INLINE void product(const float* a, std::size_t stride, std::size_t k, const float* panel,
                                 float* products) noexcept {
    constexpr tag<float> d;
    vector<float> sums[Rows * panel_vectors];
    unroll<Rows * panel_vectors>([&](auto i) ZOQAT_INLINE_LAMBDA { sums[i] = hn::Zero(d); });
    for (std::size_t i = 0; i != k; ++i, panel += panel_width) {
      vector<float> w[panel_vectors];
      unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA { w[v] = hn::LoadU(d, panel + v * lanes); });
      unroll<Rows>([&](auto r) ZOQAT_INLINE_LAMBDA {
        const auto x = hn::Set(d, a[r * stride + i]);
        unroll<panel_vectors>([&](auto v) ZOQAT_INLINE_LAMBDA {
          auto& sum = sums[r * panel_vectors + v];
          sum = in_register(hn::MulAdd(x, w[v], sum));
        });
      });
    }
    unroll<Rows * panel_vectors>([&](auto i) ZOQAT_INLINE_LAMBDA { hn::StoreU(sums[i], d, products + i * lanes); });
  }
};

}  // namespace zoqat::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// SPDX-License-Identifier: Apache-2.0

// The kernels on Highway for one target.

#if defined(ZOQAT_SIMD_HIGHWAY_KERNELS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef ZOQAT_SIMD_HIGHWAY_KERNELS_INL_HPP
#undef ZOQAT_SIMD_HIGHWAY_KERNELS_INL_HPP
#else
#define ZOQAT_SIMD_HIGHWAY_KERNELS_INL_HPP
#endif

#include <zoqat/random/stream.hpp>
#include <zoqat/simd/highway/activations-inl.hpp>
#include <zoqat/simd/highway/directions-inl.hpp>
#include <zoqat/simd/highway/dot4-inl.hpp>
#include <zoqat/simd/highway/gemm-inl.hpp>
#include <zoqat/simd/highway/gemv-inl.hpp>
#include <zoqat/simd/highway/integer_gemm-inl.hpp>
#include <zoqat/simd/highway/masters-inl.hpp>
#include <zoqat/simd/highway/packed_parts-inl.hpp>
#include <zoqat/simd/highway/packing-inl.hpp>
#include <zoqat/simd/highway/panels-inl.hpp>
#include <zoqat/simd/highway/quantize-inl.hpp>
#include <zoqat/simd/highway/rows-inl.hpp>
#include <zoqat/simd/highway/signs-inl.hpp>
#include <zoqat/simd/kernels.hpp>

HWY_BEFORE_NAMESPACE();
namespace zoqat::inline ZOQAT_ABI::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE {

/// Models `kernels` on Highway. Its namespaces name the target and the multiply-add, and so does every symbol made
/// from it.
struct highway_kernels : quantize_kernels,
                         master_kernels,
                         packing_kernels,
                         panel_kernels,
                         gemm_kernels,
                         integer_gemm_kernels,
                         packed_parts_kernels,
                         gemv_kernels,
                         row_kernels,
                         activation_kernels {
  static const char* name() noexcept { return "highway"; }
  static const char* target() noexcept { return &HWY_STR(HWY_NAMESPACE) ZOQAT_DOT4_NAME[2]; }  // without the "N_"

  static void gaussian(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    HWY_NAMESPACE::gaussian(s, first, out, n);
  }
  static void gaussian_ars(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    HWY_NAMESPACE::gaussian_ars(s, first, out, n);
  }
  static void rademacher(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    HWY_NAMESPACE::rademacher(s, first, out, n);
  }
  static void add_scaled(const float* x, const float* u, float s, float* out, std::size_t n) noexcept {
    HWY_NAMESPACE::add_scaled(x, u, s, out, n);
  }
  static void rademacher_words(rng::stream s, std::uint64_t superblock, std::size_t count,
                               std::uint32_t* words) noexcept {
    HWY_NAMESPACE::rademacher_words(s, superblock, count, words);
  }
  static void ars_words(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
    HWY_NAMESPACE::ars_words(s, superblock, count, words);
  }
  static void add_signs(const float* x, packed_signs u, float s, float* out, std::size_t n) noexcept {
    HWY_NAMESPACE::add_signs(x, u, s, out, n);
  }

  using gemm_kernels::gemm;
  using integer_gemm_kernels::gemm;
};

}  // namespace zoqat::simd::HWY_NAMESPACE::inline ZOQAT_DOT4_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

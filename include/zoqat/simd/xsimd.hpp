// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/stream.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/xsimd/ars.hpp>
#include <zoqat/simd/xsimd/directions.hpp>
#include <zoqat/simd/xsimd/gemm.hpp>
#include <zoqat/simd/xsimd/gemv.hpp>
#include <zoqat/simd/xsimd/masters.hpp>
#include <zoqat/simd/xsimd/packing.hpp>
#include <zoqat/simd/xsimd/panels.hpp>
#include <zoqat/simd/xsimd/quantize.hpp>
#include <zoqat/simd/xsimd/rows.hpp>

#include <xsimd/xsimd.hpp>

namespace zoqat::inline ZOQAT_ABI::simd {

/// The kernels on xsimd (8.1 or later): a second implementation of the same contracts, written apart from that on
/// Highway. It is the other side of the differential tests, the backend of hosts that have xsimd and link nothing,
/// and the one that still has vectors (SSE2) where no flags are given. Simple rather than fast.
template <class Arch, class Ars>
struct basic_xsimd_kernels : xsimd_detail::quantize_kernels<Arch>,
                             xsimd_detail::master_kernels<Arch>,
                             xsimd_detail::packing_kernels<Arch>,
                             xsimd_detail::panel_kernels<Arch>,
                             xsimd_detail::gemm_kernels<Arch>,
                             xsimd_detail::gemv_kernels<Arch>,
                             xsimd_detail::row_kernels<Arch> {
  static const char* name() noexcept { return "xsimd"; }
  static const char* target() noexcept { return Arch::name(); }

  static void gaussian(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    xsimd_detail::gaussian<Arch, philox>(s, first, out, n);
  }
  static void gaussian_ars(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    xsimd_detail::gaussian<Arch, Ars>(s, first, out, n);
  }
  static void rademacher(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    xsimd_detail::rademacher<Arch>(s, first, out, n);
  }
  static void add_scaled(const float* x, const float* u, float s, float* out, std::size_t n) noexcept {
    xsimd_detail::add_scaled<Arch>(x, u, s, out, n);
  }
  static void rademacher_words(rng::stream s, std::uint64_t superblock, std::size_t count,
                               std::uint32_t* words) noexcept {
    xsimd_detail::copy_words<philox>(s, superblock, count, words);
  }
  static void ars_words(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
    xsimd_detail::copy_words<Ars>(s, superblock, count, words);
  }
  static void add_signs(const float* x, packed_signs u, float s, float* out, std::size_t n) noexcept {
    xsimd_detail::add_signs<Arch>(x, u, s, out, n);
  }

 private:
  using philox = xsimd_detail::philox_by_lanes<Arch>;
};

/// For the best architecture that the flags of the compilation allow. It is part of the type, and so of every symbol,
/// and so is whether there are instructions for AES.
using xsimd_kernels = basic_xsimd_kernels<xsimd::default_arch, xsimd_detail::default_ars>;

static_assert(kernels<xsimd_kernels>);

}  // namespace zoqat::simd

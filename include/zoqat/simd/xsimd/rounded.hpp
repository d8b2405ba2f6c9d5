// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <xsimd/xsimd.hpp>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// `zoqat::rounded`, lane by lane.
template <class Arch>
[[gnu::always_inline]] inline xsimd::batch<float, Arch> rounded(xsimd::batch<float, Arch> v) noexcept {
#if defined(__x86_64__) || defined(__SSE2__)
  asm("" : "+v"(v.data));
#elif defined(__aarch64__)
  asm("" : "+w"(v.data));
#else
  asm("" : "+m"(v));
#endif
  return v;
}

}  // namespace zoqat::simd::xsimd_detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/kernels.hpp>

// The backend is chosen when the host compiles: Highway unless ZOQAT_KERNELS_XSIMD or ZOQAT_KERNELS_REFERENCE
// is defined.
#if defined(ZOQAT_KERNELS_REFERENCE)
#include <zoqat/simd/reference.hpp>
#elif defined(ZOQAT_KERNELS_XSIMD)
#include <zoqat/simd/xsimd.hpp>
#else
#include <zoqat/simd/highway.hpp>
#endif

namespace zoqat::inline ZOQAT_ABI::simd {

#if defined(ZOQAT_KERNELS_REFERENCE)
using default_kernels = reference;
#elif defined(ZOQAT_KERNELS_XSIMD)
using default_kernels = xsimd_kernels;
#else
using default_kernels = highway_kernels;
#endif

static_assert(kernels<default_kernels>);

}  // namespace zoqat::simd

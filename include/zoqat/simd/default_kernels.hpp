// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/kernels.hpp>

// The backend is chosen when the host compiles: Highway unless ZOQAT_KERNELS_XSIMD or ZOQAT_KERNELS_REFERENCE
// is defined. Which instructions it may use, the flags of the compilation say. At a compiler's plain flags for x86-64
// all is right and many times slower than the machine, and at -march=x86-64-v3 alone Highway does with half the
// vectors. So a message says what to do, once for each translation unit; it is no warning, so that -Werror passes.
// Where zoqat is a system directory Clang shows it only with --no-system-header-prefix=zoqat/simd/default_kernels,
// which the CMake targets give. ZOQAT_ALLOW_SLOW_KERNELS is for those who mean it.
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

#if !defined(ZOQAT_ALLOW_SLOW_KERNELS) && !defined(ZOQAT_KERNELS_REFERENCE) && !defined(ZOQAT_KERNELS_XSIMD)
#if HWY_STATIC_TARGET == HWY_SCALAR || HWY_STATIC_TARGET == HWY_EMU128
#pragma message( \
        "zoqat: the kernels are scalar code, since these flags allow Highway no vectors. Compile for this machine with \
-march=native, or for any x86-64 with AVX2 with -march=x86-64-v3 -maes -mpclmul; -DZOQAT_KERNELS_XSIMD uses SSE2. To \
keep it so, define ZOQAT_ALLOW_SLOW_KERNELS.")
#elif defined(__AVX2__) && HWY_MAX_BYTES < 32
#pragma message( \
        "zoqat: the kernels are for SSE though the flags allow AVX2, which Highway takes only with AES and PCLMUL: add \
-maes -mpclmul. To keep it so, define ZOQAT_ALLOW_SLOW_KERNELS.")
#endif
#endif

}  // namespace zoqat::simd

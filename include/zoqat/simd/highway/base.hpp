// SPDX-License-Identifier: Apache-2.0

// Every header of zoqat includes Highway through this one. It has no include guard, because <hwy/highway.h> has to be
// read again for each target of <hwy/foreach_target.h>.

#include <zoqat/core/config.hpp>

// Highway 1.0.3 stops with an #error where the compiler's flags hold its best x86 target (-march=native or
// sapphirerapids with AVX-512 and AVX-VNNI) unless one asks for that target. A translation unit that includes Highway
// before zoqat has to define HWY_WANT_AVX3_DL itself.
#if defined(__AVX512VNNI__) && defined(__VAES__) && !defined(HWY_WANT_AVX3_DL)
#define HWY_WANT_AVX3_DL
#endif

#include <hwy/highway.h>

// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every header of zoqat stands on: the language it needs, the arithmetic it counts on, and the name of the
// instruction set that it is compiled for. Every header includes this one before anything else, so that what is said
// here is the first that a compiler says; and since thousands of errors would follow, it is also the last.

#if __cplusplus < 202002L && !(defined(_MSVC_LANG) && _MSVC_LANG >= 202002L)
#error "zoqat needs C++20: compile with -std=c++20 or later (CMake: target_compile_features(... cxx_std_20))."
#include <zoqat/core/nothing_after_the_error_above>  // There is no such file, which ends the compilation.
#endif

// Fast math assumes that there are neither NaN nor infinities, so a loss that is not finite would pass every check
// and be written into the weights; and it reorders sums, so that a run log would not replay. Clang tells no program
// of -funsafe-math-optimizations alone.
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__) || \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error \
    "zoqat cannot be compiled with -ffast-math, -Ofast or what they switch on: losses that are not finite would go \
unnoticed into the weights. Give the translation units that include zoqat -fno-fast-math."
#include <zoqat/core/nothing_after_the_error_above>
#endif

// Every function of zoqat is compiled for the instruction set of its translation unit, and most are templates or
// inline, which linkers merge by name: of two units with different -march one would run the code of the other, and
// die where a processor lacks it. So all of zoqat is in an inline namespace that names the instruction set and the
// backend. Users write zoqat::zo::estimator as if it were not there; symbols of two sets never meet. What is handed
// from unit to unit must be compiled alike, or the linker says that a symbol is missing.
//
// The inline functions of the standard library and of fmt have no such name: those that a compiler does not inline
// are shared by the units of a program whatever they are compiled for, and the linker keeps the first it meets. So
// link the unit of the oldest set first, or let zoqat_target_dispatch of CMake make the symbols of each unit local.
#define ZOQAT_JOIN_2(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o) a##b##c##d##e##f##g##h##i##j##k##l##m##n##o
#define ZOQAT_JOIN(...) ZOQAT_JOIN_2(__VA_ARGS__)

#if defined(ZOQAT_KERNELS_REFERENCE)
#define ZOQAT_ABI_BACKEND reference
#elif defined(ZOQAT_KERNELS_XSIMD)
#define ZOQAT_ABI_BACKEND xsimd
#else
#define ZOQAT_ABI_BACKEND highway
#endif

// The levels of x86-64, and what a level leaves open.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && \
    defined(__AVX512VL__) && defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__)
#define ZOQAT_ABI_LEVEL _v4
#elif defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__) && defined(__F16C__)
#define ZOQAT_ABI_LEVEL _v3
#elif defined(__SSE4_2__)
#define ZOQAT_ABI_LEVEL _v2
#elif defined(__aarch64__)
#define ZOQAT_ABI_LEVEL _aarch64
#else
#define ZOQAT_ABI_LEVEL _v1
#endif

#if defined(__SSSE3__) && !defined(__SSE4_2__)
#define ZOQAT_ABI_SSSE3 _ssse3
#else
#define ZOQAT_ABI_SSSE3
#endif
#if defined(__SSE4_1__) && !defined(__SSE4_2__)
#define ZOQAT_ABI_SSE4_1 _sse4
#else
#define ZOQAT_ABI_SSE4_1
#endif
#if defined(__AVX__) && !defined(__AVX2__)
#define ZOQAT_ABI_AVX _avx
#elif defined(__AVX2__) && !(defined(__FMA__) && defined(__BMI2__) && defined(__F16C__))
#define ZOQAT_ABI_AVX _avx2
#else
#define ZOQAT_ABI_AVX
#endif
#if defined(__FMA__) && !(defined(__AVX2__) && defined(__BMI2__) && defined(__F16C__))
#define ZOQAT_ABI_FMA _fma
#else
#define ZOQAT_ABI_FMA
#endif
#if defined(__BMI2__) && !(defined(__AVX2__) && defined(__FMA__) && defined(__F16C__))
#define ZOQAT_ABI_BMI2 _bmi2
#else
#define ZOQAT_ABI_BMI2
#endif
#if defined(__F16C__) && !(defined(__AVX2__) && defined(__FMA__) && defined(__BMI2__))
#define ZOQAT_ABI_F16C _f16c
#else
#define ZOQAT_ABI_F16C
#endif
#if defined(__AVX512F__) && \
    !(defined(__AVX512BW__) && defined(__AVX512CD__) && defined(__AVX512DQ__) && defined(__AVX512VL__))
#define ZOQAT_ABI_AVX512 _avx512f
#elif defined(__AVX512VBMI2__)
#define ZOQAT_ABI_AVX512 _vbmi2
#else
#define ZOQAT_ABI_AVX512
#endif
#if (defined(__AES__) && defined(__PCLMUL__)) || defined(__ARM_FEATURE_AES) || defined(__ARM_FEATURE_CRYPTO)
#define ZOQAT_ABI_AES _aes
#else
#define ZOQAT_ABI_AES
#endif
#if defined(__AVX512VNNI__)
#define ZOQAT_ABI_DOT _vnni
#elif defined(__AVXVNNI__)
#define ZOQAT_ABI_DOT _avxvnni
#elif defined(__ARM_FEATURE_DOTPROD)
#define ZOQAT_ABI_DOT _dotprod
#else
#define ZOQAT_ABI_DOT
#endif
#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16)
#define ZOQAT_ABI_BF16 _bf16
#else
#define ZOQAT_ABI_BF16
#endif
#if defined(__AVX512FP16__) || defined(__ARM_FEATURE_FP16_VECTOR_ARITHMETIC)
#define ZOQAT_ABI_FP16 _fp16
#else
#define ZOQAT_ABI_FP16
#endif
#if defined(__ARM_FEATURE_SVE)
#define ZOQAT_ABI_SVE _sve
#else
#define ZOQAT_ABI_SVE
#endif
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
#define ZOQAT_EXCEPTIONS 1
#define ZOQAT_ABI_EXCEPTIONS
#else
#define ZOQAT_EXCEPTIONS 0
#define ZOQAT_ABI_EXCEPTIONS _no_exceptions
#endif

/// The name of the inline namespace that all of zoqat is in, such as highway_v3_aes.
#define ZOQAT_ABI                                                                                                 \
  ZOQAT_JOIN(ZOQAT_ABI_BACKEND, ZOQAT_ABI_LEVEL, ZOQAT_ABI_SSSE3, ZOQAT_ABI_SSE4_1, ZOQAT_ABI_AVX, ZOQAT_ABI_FMA, \
             ZOQAT_ABI_BMI2, ZOQAT_ABI_F16C, ZOQAT_ABI_AVX512, ZOQAT_ABI_AES, ZOQAT_ABI_DOT, ZOQAT_ABI_BF16,      \
             ZOQAT_ABI_FP16, ZOQAT_ABI_SVE, ZOQAT_ABI_EXCEPTIONS)

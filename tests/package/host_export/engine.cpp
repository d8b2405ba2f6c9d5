// SPDX-License-Identifier: Apache-2.0
#include <zoqat/simd/default_kernels.hpp>

float squared_length(const float* x, std::size_t n) { return zoqat::simd::default_kernels::dot(x, x, n); }

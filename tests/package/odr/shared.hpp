// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "unit.hpp"

#include <zoqat/simd/default_kernels.hpp>

/// An inline template as the upper layers of the library write them.
template <zoqat::simd::kernels Kernels = zoqat::simd::default_kernels>
witness observe() {
  const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  return {Kernels::target(), Kernels::dot(x, x, 9)};
}

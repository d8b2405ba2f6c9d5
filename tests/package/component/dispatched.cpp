// SPDX-License-Identifier: Apache-2.0
#include "dispatched.hpp"

#include <zoqat/core/dispatch.hpp>
#include <zoqat/simd/default_kernels.hpp>

template <>
dispatched zoqat::dispatch::table<dispatched, zoqat::dispatch::here>() {
  return {zoqat::simd::default_kernels::dot};
}

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/highway/kernels-inl.hpp>

namespace zoqat::inline ZOQAT_ABI::simd {

/// The production backend: the kernels on Highway, for the best target that the flags of the compilation allow.
/// Headers only; nothing of Highway is linked.
using highway_kernels = HWY_NAMESPACE::highway_kernels;

static_assert(kernels<highway_kernels>);

}  // namespace zoqat::simd

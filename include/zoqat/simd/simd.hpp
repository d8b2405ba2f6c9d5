// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The kernels: their contracts, the scalar oracle, and the backend chosen for the host. The other backends
/// (`simd/highway.hpp`, `simd/xsimd.hpp`) are included by name where they are wanted, since each needs its own
/// library.

// The order is for reading.
// clang-format off

#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/reference.hpp>
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/simd/multiply.hpp>

// clang-format on

// SPDX-License-Identifier: Apache-2.0
#pragma once

/// The kernels: their contracts, the scalar oracle, and the backend chosen for the host. The other backends
/// (`simd/highway.hpp`, `simd/xsimd.hpp`) are included by name where they are wanted, since each needs its own
/// library.

// clang-format off: the order is for reading

#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/reference.hpp>

// clang-format on

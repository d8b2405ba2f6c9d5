// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Quantizers: bits, groups, symmetry, clipping; matrices of packed codes.

// The order is for reading.
// clang-format off

#include <zoqat/quant/scheme.hpp>
#include <zoqat/quant/clipping.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/activation_codes.hpp>
#include <zoqat/quant/fake_quantize.hpp>
#include <zoqat/quant/fixed_grids.hpp>
#include <zoqat/quant/host_matrix.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/scheme_registry.hpp>

// clang-format on

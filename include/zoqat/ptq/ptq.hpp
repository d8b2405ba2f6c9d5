// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Post-training quantization: where training starts.

// The order is for reading.
// clang-format off

#include <zoqat/ptq/startable.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/ptq/channel_ranges.hpp>
#include <zoqat/ptq/smoothquant.hpp>
#include <zoqat/ptq/shifting.hpp>
#include <zoqat/ptq/moments.hpp>
#include <zoqat/ptq/input_moments.hpp>
#include <zoqat/ptq/cholesky.hpp>
#include <zoqat/ptq/row_rounding.hpp>
#include <zoqat/ptq/reconstruct_matrix.hpp>
#include <zoqat/ptq/reconstruct.hpp>
#include <zoqat/ptq/weight_units.hpp>
#include <zoqat/ptq/prepare.hpp>

// clang-format on

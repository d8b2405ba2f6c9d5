// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Post-training quantization: where training starts.

// clang-format off: the order is for reading

// The whole recipe.
#include <zoqat/ptq/prepare.hpp>

// Its stages.
#include <zoqat/ptq/reconstruct.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/ptq/smoothquant.hpp>
#include <zoqat/ptq/weight_units.hpp>

// What they consist of.
#include <zoqat/ptq/channel_ranges.hpp>
#include <zoqat/ptq/cholesky.hpp>
#include <zoqat/ptq/moments.hpp>
#include <zoqat/ptq/row_rounding.hpp>
#include <zoqat/ptq/shifting.hpp>
#include <zoqat/ptq/startable.hpp>

// clang-format on

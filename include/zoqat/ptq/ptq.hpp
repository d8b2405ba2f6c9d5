// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Post-training quantization: where training starts.

// The order is for reading.
// clang-format off

// The whole recipe.
#include <zoqat/ptq/prepare.hpp>
#include <zoqat/ptq/stage.hpp>

// Its stages.
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/ptq/smoothquant.hpp>
#include <zoqat/ptq/reconstruct.hpp>
#include <zoqat/ptq/weight_units.hpp>

// What the rows of a matrix write together, and rounding in that metric.
#include <zoqat/ptq/output_metric.hpp>
#include <zoqat/ptq/stream_metric.hpp>
#include <zoqat/ptq/matrix_rounding.hpp>
#include <zoqat/ptq/row_rounding.hpp>

// What it is measured against: grids by search, errors fed forward, scales and shifts, orders of channels.
#include <zoqat/ptq/clip_search.hpp>
#include <zoqat/ptq/gptq.hpp>
#include <zoqat/ptq/merge_adapters.hpp>
#include <zoqat/ptq/outlier_suppression.hpp>
#include <zoqat/ptq/reorder.hpp>

// One matrix of an engine that is not made of this library's blocks.
#include <zoqat/ptq/input_moments.hpp>
#include <zoqat/ptq/reconstruct_matrix.hpp>

// What they consist of.
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/channel_ranges.hpp>
#include <zoqat/ptq/shifting.hpp>
#include <zoqat/ptq/moments.hpp>
#include <zoqat/ptq/cholesky.hpp>
#include <zoqat/ptq/rounded_row.hpp>
#include <zoqat/ptq/input_stream.hpp>
#include <zoqat/ptq/block_trace.hpp>

// clang-format on

// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Transformers, composed at compile time.

// The order is for reading.
// clang-format off

// How a forward pass reads parameters.
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/nn/shared_input.hpp>
#include <zoqat/nn/storage_plan.hpp>

// The linear layer, its input, and the states of its weights.
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/quantized_weight.hpp>
#include <zoqat/nn/linear/packed_weight.hpp>
#include <zoqat/nn/linear/float_weight.hpp>
#include <zoqat/nn/linear/stored_weight.hpp>
#include <zoqat/nn/linear/low_rank.hpp>
#include <zoqat/nn/linear/float_tile.hpp>
#include <zoqat/nn/linear/step_log_scale.hpp>

// How tiles of them are multiplied.
#include <zoqat/nn/linear/tile_rows.hpp>
#include <zoqat/nn/linear/weight_tile.hpp>
#include <zoqat/nn/linear/product.hpp>

// Parts of a block.
#include <zoqat/nn/norm.hpp>
#include <zoqat/nn/positions.hpp>
#include <zoqat/nn/prefix.hpp>
#include <zoqat/nn/rope.hpp>
#include <zoqat/nn/learned_positions.hpp>
#include <zoqat/nn/attend.hpp>
#include <zoqat/nn/attention.hpp>
#include <zoqat/nn/activation.hpp>
#include <zoqat/nn/mlp.hpp>
#include <zoqat/nn/block.hpp>

// How outputs of linear layers act on the residual stream.
#include <zoqat/nn/responses/response.hpp>
#include <zoqat/nn/responses/attention.hpp>
#include <zoqat/nn/responses/mlp.hpp>

// Models, and what is computed with them.
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/decoder.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/qwen3.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/nn/head.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/generate.hpp>

// clang-format on

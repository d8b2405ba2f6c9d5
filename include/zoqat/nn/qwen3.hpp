// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/attention.hpp>
#include <zoqat/nn/block.hpp>
#include <zoqat/nn/decoder.hpp>
#include <zoqat/nn/mlp.hpp>
#include <zoqat/nn/norm.hpp>
#include <zoqat/nn/rope.hpp>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The block of Qwen3: LLaMA's, with a norm on each head of queries and keys.
template <class Linear>
using qwen3_block =
    block<residual<rms_norm, self_attention<Linear, rope, rms_norm>>, residual<rms_norm, gated_mlp<Linear, silu>>>;

/// A Qwen3 model under a quantization scheme.
template <class Scheme>
using qwen3 = decoder<qwen3_block<smoothed_linear<Scheme>>>;

}  // namespace zoqat::nn

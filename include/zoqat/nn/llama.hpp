// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/attention.hpp>
#include <zoqat/nn/block.hpp>
#include <zoqat/nn/decoder.hpp>
#include <zoqat/nn/mlp.hpp>
#include <zoqat/nn/norm.hpp>
#include <zoqat/nn/rope.hpp>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The block of LLaMA, Mistral, Qwen2 and SmolLM: they differ in which layers have biases (model_shape::biases) and
/// in rotary frequencies.
template <class Linear>
using llama_block =
    block<residual<rms_norm, self_attention<Linear, rope>>, residual<rms_norm, gated_mlp<Linear, silu>>>;

/// A LLaMA model under a quantization scheme.
template <class Scheme>
using llama = decoder<llama_block<smoothed_linear<Scheme>>>;

}  // namespace zoqat::nn

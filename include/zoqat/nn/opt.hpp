// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/activation.hpp>
#include <zoqat/nn/attention.hpp>
#include <zoqat/nn/block.hpp>
#include <zoqat/nn/decoder.hpp>
#include <zoqat/nn/learned_positions.hpp>
#include <zoqat/nn/mlp.hpp>
#include <zoqat/nn/norm.hpp>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The block of OPT, normed before each layer as in all its sizes but 350M. Its linear layers have biases where
/// model_shape::biases says so, as every checkpoint of OPT does. The activation is ReLU in OPT itself; other models
/// of its layout have `gelu_tanh` or `gelu_erf`.
template <class Linear, activation Activation = relu>
using opt_block = block<residual<layer_norm, self_attention<Linear, learned_positions>>,
                        residual<layer_norm, mlp<Linear, Activation>>>;

/// An OPT model under a quantization scheme.
template <class Scheme, activation Activation = relu>
using opt = decoder<opt_block<smoothed_linear<Scheme>, Activation>>;

}  // namespace zoqat::nn

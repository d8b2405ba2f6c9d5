// SPDX-License-Identifier: Apache-2.0
// expect: nn::block: every argument must be an nn::residual<norm, layer>; wrap the layer in one
#include <zoqat/nn/llama.hpp>

using namespace zoqat;
using namespace zoqat::nn;

#ifdef FAULTY
using composed = block<gated_mlp<linear, silu>>;
#else
using composed = block<residual<rms_norm, gated_mlp<linear, silu>>, residual<rms_norm, self_attention<linear, rope>>>;
#endif

static_assert(sizeof(composed) > 0);

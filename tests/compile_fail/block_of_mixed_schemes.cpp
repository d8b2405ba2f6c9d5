// SPDX-License-Identifier: Apache-2.0
// expect: nn::block: all layers of a block must use the same linear layer, and with it one quantization scheme
#include <zoqat/nn/llama.hpp>

using namespace zoqat;
using namespace zoqat::nn;

using w4 = smoothed_linear<quant::scheme<quant::weight<4>>>;
#ifdef FAULTY
using composed = block<residual<rms_norm, self_attention<w4, rope>>, residual<rms_norm, gated_mlp<linear, silu>>>;
#else
using composed = block<residual<rms_norm, self_attention<w4, rope>>, residual<rms_norm, gated_mlp<w4, silu>>>;
#endif

static_assert(sizeof(composed) > 0);

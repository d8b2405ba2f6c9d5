// SPDX-License-Identifier: Apache-2.0
// expect: nn::residual: the first argument must be a normalization, such as nn::rms_norm
#include <zoqat/nn/llama.hpp>

using namespace zoqat;
using namespace zoqat::nn;

using attention = self_attention<linear, rope>;
#ifdef FAULTY
using composed = residual<attention, rms_norm>;
#else
using composed = residual<rms_norm, attention>;
#endif

static_assert(sizeof(composed) > 0);

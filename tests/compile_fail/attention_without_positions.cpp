// SPDX-License-Identifier: Apache-2.0
// expect: nn::self_attention: the second argument must encode positions, such as nn::rope
#include <zoqat/nn/llama.hpp>

using namespace zoqat;
using namespace zoqat::nn;

#ifdef FAULTY
using composed = self_attention<linear, rms_norm>;
#else
using composed = self_attention<linear, rope>;
#endif

static_assert(sizeof(composed) > 0);

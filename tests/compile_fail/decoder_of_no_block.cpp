// SPDX-License-Identifier: Apache-2.0
// expect: nn::decoder: the argument must be an nn::block<...>
#include <zoqat/nn/llama.hpp>

using namespace zoqat;

#ifdef FAULTY
using model = nn::decoder<quant::scheme<quant::weight<4>>>;
#else
using model = nn::decoder<nn::llama_block<nn::smoothed_linear<quant::scheme<quant::weight<4>>>>>;
#endif

static_assert(sizeof(model) > 0);

// SPDX-License-Identifier: Apache-2.0
// expect: ptq::reconstructor: the grids it finds need a place of their own
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/reconstruct.hpp>

using namespace zoqat;

#ifdef FAULTY
using clipping = quant::clip::range;
#else
using clipping = quant::clip::codes;
#endif
using student = nn::llama<quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, clipping>>>;

static_assert(sizeof(ptq::reconstructor<student, nn::llama<quant::full_precision>, sequential>) > 0);

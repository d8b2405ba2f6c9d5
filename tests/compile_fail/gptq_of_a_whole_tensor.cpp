// SPDX-License-Identifier: Apache-2.0
// expect: ptq::clipped_grids: rows are found one by one
#include <zoqat/ptq/gptq.hpp>

using namespace zoqat;

#ifdef FAULTY
using granularity = quant::per_tensor;
#else
using granularity = quant::per_channel;
#endif
using weight = quant::weight<4, granularity, quant::asymmetric, quant::clip::codes>;

// Its address: what is compiled alone and beside others.
const auto address = &ptq::gptq_row<weight>;

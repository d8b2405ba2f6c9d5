// SPDX-License-Identifier: Apache-2.0
// expect: constraints not satisfied
// expect: runnable_model
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/prepare.hpp>

using namespace zoqat;
using scheme = quant::scheme<quant::weight<4>>;

#ifdef FAULTY
using model = nn::smoothed_linear<scheme>;
#else
using model = nn::llama<scheme>;
#endif

void start(model& m) { ptq::prepare(m); }

// SPDX-License-Identifier: Apache-2.0
// expect: constraints not satisfied
// expect: language_model
#include <zoqat/eval/perplexity.hpp>
#include <zoqat/nn/llama.hpp>

using namespace zoqat;

#ifdef FAULTY
using model = quant::scheme<quant::weight<4>>;
#else
using model = nn::llama<quant::scheme<quant::weight<4>>>;
#endif

double found(model& m, const eval::chunks& text, sequential& here, nn::workspace& work) {
  return eval::perplexity(m, text, here, work);
}

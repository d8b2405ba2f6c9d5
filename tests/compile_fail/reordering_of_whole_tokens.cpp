// SPDX-License-Identifier: Apache-2.0
// expect: ptq::reorder_by_ranges: the order of channels matters where inputs are quantized in groups
#include <zoqat/nn/llama.hpp>
#include <zoqat/ptq/reorder.hpp>

using namespace zoqat;

#ifdef FAULTY
using activations = quant::activation<4>;
#else
using activations = quant::activation<4, quant::group<32>, quant::symmetric>;
#endif
using student = nn::llama<
    quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>, activations>>;

void use(student& model, nn::llama<quant::full_precision>& teacher, sequential& threads) {
  ptq::reorder_by_ranges(model, teacher, {}, threads);
}

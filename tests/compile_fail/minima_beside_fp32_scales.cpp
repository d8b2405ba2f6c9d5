// SPDX-License-Identifier: Apache-2.0
// expect: quant::weight: a minimum is stored as its scale is, for which there are fp16_scale and shared_scale
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using composed = weight<4, group<32>, with_minimum, clip::codes, fp32_scale>;
#else
using composed = weight<4, group<32>, with_minimum, clip::codes, fp16_scale>;
#endif

static_assert(composed::has_minima);

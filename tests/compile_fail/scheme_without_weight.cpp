// SPDX-License-Identifier: Apache-2.0
// expect: quant::scheme: name exactly one quant::weight; a model without quantized weights uses full_precision
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using composed = scheme<activation<4>>;
#else
using composed = scheme<weight<4>, activation<4>>;
#endif

static_assert(composed::quantizes_weights);

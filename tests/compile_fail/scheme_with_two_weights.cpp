// SPDX-License-Identifier: Apache-2.0
// expect: quant::scheme: name exactly one quant::weight
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using composed = scheme<weight<4>, weight<2>>;
#else
using composed = scheme<weight<4>, activation<8>>;
#endif

static_assert(composed::quantizes_weights);

// SPDX-License-Identifier: Apache-2.0
// expect: quant::scheme: quant::shift goes once, and with a quant::activation
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using composed = scheme<weight<4>, shift>;
#else
using composed = scheme<weight<4>, activation<8>, shift>;
#endif

static_assert(composed::quantizes_weights);

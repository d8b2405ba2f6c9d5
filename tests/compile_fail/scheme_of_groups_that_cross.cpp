// SPDX-License-Identifier: Apache-2.0
// expect: quant::scheme: the size of a group of weights must divide that of a group of activations
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using composed = scheme<weight<4, group<32>>, activation<8, group<48>, symmetric>>;
#else
using composed = scheme<weight<4, group<32>>, activation<8, group<64>, symmetric>>;
#endif

static_assert(composed::activation_type::grouped);

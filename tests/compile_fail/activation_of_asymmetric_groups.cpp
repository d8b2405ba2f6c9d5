// SPDX-License-Identifier: Apache-2.0
// expect: quant::activation: groups of activations are symmetric
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using composed = scheme<weight<4, group<32>>, activation<8, group<32>>>;
#else
using composed = scheme<weight<4, group<32>>, activation<8, group<32>, symmetric>>;
#endif

static_assert(composed::activation_type::grouped);

// SPDX-License-Identifier: Apache-2.0
// expect: quant::weight: a number of half precision times a factor times a code must be exact in fp32
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using composed = weight<7, group<32>, with_minimum, clip::codes, shared_scale<127>>;
#else
using composed = weight<6, group<32>, with_minimum, clip::codes, shared_scale<127>>;
#endif

static_assert(composed::has_minima);

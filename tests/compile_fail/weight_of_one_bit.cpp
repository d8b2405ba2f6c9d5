// SPDX-License-Identifier: Apache-2.0
// expect: quant::weight: weights take 2 to 8 bits; leave them alone with full_precision
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using part = weight<1>;
#else
using part = weight<2>;
#endif

static_assert(scheme<part>::weight_type::bits > 0);

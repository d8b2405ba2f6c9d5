// SPDX-License-Identifier: Apache-2.0
// expect: quant::group: the group size must be positive; for one grid per row use per_channel
#include <zoqat/quant/scheme.hpp>

using namespace zoqat::quant;

#ifdef FAULTY
using granularity = group<0>;
#else
using granularity = group<128>;
#endif

static_assert(weight<4, granularity>::groups(256) == 2);

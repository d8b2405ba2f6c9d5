// SPDX-License-Identifier: Apache-2.0
// expect: nn::smoothed_linear: the argument must be a quant::scheme<...> or quant::full_precision
#include <zoqat/nn/linear.hpp>

using namespace zoqat;

#ifdef FAULTY
using composed = nn::smoothed_linear<quant::weight<4>>;
#else
using composed = nn::smoothed_linear<quant::scheme<quant::weight<4>>>;
#endif

static_assert(sizeof(composed) > 0);

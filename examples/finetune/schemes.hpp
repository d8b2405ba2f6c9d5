// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/quant/scheme_registry.hpp>  // scheme_registry, named, standard_schemes

namespace zoqat::programs {

/// Grids stay where they are while weights are fine-tuned, so none of them learns its clipping; those of two bits are
/// held apart from the weights (clip::codes), so that a reconstruction can choose them.
using all_schemes = quant::scheme_registry<
    quant::named<"w4a4", quant::scheme<quant::weight<4>, quant::activation<4>>>,
    quant::named<"w4a4shift", quant::scheme<quant::weight<4>, quant::activation<4>, quant::shift>>,
    quant::named<"w2a16g128", quant::standard_schemes::scheme_of<"w2a16g128">>>;

}  // namespace zoqat::programs

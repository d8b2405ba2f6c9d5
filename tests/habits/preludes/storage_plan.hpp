// SPDX-License-Identifier: Apache-2.0
#pragma once

// What blocks about the memory of a model presuppose: a scheme.

#include <zoqat/io/load.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/nn/opt.hpp>
#include <zoqat/quant/scheme.hpp>

using namespace zoqat;
using w4a4 = quant::scheme<quant::weight<4>, quant::activation<4>>;

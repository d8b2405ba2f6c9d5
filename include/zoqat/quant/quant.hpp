// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/quant/catalogue.hpp>
#include <zoqat/quant/clipping.hpp>
#include <zoqat/quant/fixed_grids.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/scheme.hpp>

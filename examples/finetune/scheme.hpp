// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>  // model_kind

#include <finetune/results.hpp>
#include <finetune/settings.hpp>

/// What the program does with models of one scheme. Each scheme has a translation unit of its own, which CMake makes
/// from scheme.cpp.in: they compile side by side.
namespace zoqat::programs {

/// Fine-tunes the model, which is of `kind`, with every seed, and adds the rows of the table. Throws value_error
/// where the scheme is not offered for such a model, or has no grids that `--start reconstructed` could choose.
template <class Scheme>
void fine_tune(const model_kind& kind, const settings& s, results& to);

}  // namespace zoqat::programs

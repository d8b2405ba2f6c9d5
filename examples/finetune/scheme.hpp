// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <finetune/settings.hpp>

/// What the program does with models of one scheme. Each scheme that it offers has a translation unit of its own,
/// which CMake makes from scheme.cpp.in: they compile side by side.
namespace zoqat::programs {

/// Fine-tunes the model with every seed, and prints and writes the table. Throws value_error where the scheme is not
/// offered for such a model, or has no grids that `--start reconstructed` could choose.
template <class Scheme>
void fine_tune(const settings& s);

}  // namespace zoqat::programs

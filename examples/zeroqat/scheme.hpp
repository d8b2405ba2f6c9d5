// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zeroqat/settings.hpp>

/// What the program does with models of one scheme and family. Each pair that it offers has a translation unit of its
/// own, which CMake makes from scheme.cpp.in: they compile side by side, and a scheme that is added compiles alone.
namespace zoqat::programs {

/// What the program tells a shell: the run was of no use, though nothing failed.
inline constexpr int worse_than_before = 3;

/// Prepares a model, trains it and prints the table; with `s.resume`, goes on with the run in the log. Returns what
/// the program returns: 0, `worse_than_before`, or 128 and the number of the signal that ended the run early.
template <class Scheme, class Family>
[[nodiscard]] int train_model(const settings& s);

/// Makes a trained model again: the start from the settings in the log, then the log.
template <class Scheme, class Family>
void replay_model(const settings& s);

/// Perplexity on `s.eval` and accuracy on `s.tasks` of the model at `s.model`, which has this scheme.
template <class Scheme, class Family>
void evaluate_model(const settings& s);

/// Text from it, after `s.prompt`.
template <class Scheme, class Family>
void generate_text(const settings& s);

}  // namespace zoqat::programs

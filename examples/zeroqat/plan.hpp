// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <common/run_inputs.hpp>
#include <zeroqat/settings.hpp>

#include <cstdint>

/// What zeroqat makes sure of before it begins (see common/plan.hpp).
namespace zoqat::programs {

/// Throws value_error for options that make no sense, alone or together.
void require_sensible(const settings& s);

/// What a run depends on beside its options.
[[nodiscard]] run_inputs inputs_of(const settings& s);

/// Throws where what `train` or `replay` writes cannot be written or would destroy what it reads, and where a run
/// that is to go on began with other inputs.
void require_outputs(const settings& s);

/// Throws value_error where the model has parameters of none of the groups that --train names, and says on stderr
/// which of them it lacks, unless they are the default, which names those of all schemes.
void require_groups(const per_group<bool>& there, const settings& s);

/// Throws io_error where the disk has no room for what a run writes: a model of `output` bytes at least, its log, and
/// with --snapshot its start of `start` bytes.
void require_space_for(const settings& s, std::uintmax_t output, std::uintmax_t start = 0);

}  // namespace zoqat::programs

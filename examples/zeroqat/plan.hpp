// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <common/run_inputs.hpp>
#include <zeroqat/settings.hpp>

/// What zeroqat makes sure of before it begins (see common/plan.hpp).
namespace zoqat::programs {

/// Throws value_error for options that make no sense, alone or together.
void require_sensible(const settings& s);

/// What a run depends on beside its options.
[[nodiscard]] run_inputs inputs_of(const settings& s);

/// Throws where what `train` or `replay` writes cannot be written or would destroy what it reads, and where a run
/// that is to go on began with other inputs.
void require_outputs(const settings& s);

}  // namespace zoqat::programs

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <finetune/settings.hpp>

/// What finetune makes sure of before it begins (see common/plan.hpp).
namespace zoqat::programs {

/// Throws value_error for options that make no sense.
void require_sensible(const settings& s);

/// Throws where what the runs write cannot be written, would destroy what they read, or would replace what another
/// run wrote without being told to. Makes the folder of `--output`.
void require_outputs(const settings& s);

/// Throws value_error for a pattern of --trains that is no layer's, and io_error where the disk has no room for what
/// the runs write at least, where a trained model takes `output` bytes.
void require_ready(const settings& s, const model_shape& shape, std::uintmax_t output);

}  // namespace zoqat::programs

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <string_view>

namespace zoqat::inline ZOQAT_ABI {

/// What the names of a low-rank adapter's tensors, A [rank, in] and B [out, rank], add to the name of the linear
/// layer that they stand beside, as PEFT has them.
inline constexpr std::string_view lora_a_ending = ".lora_A.weight", lora_b_ending = ".lora_B.weight";

}  // namespace zoqat

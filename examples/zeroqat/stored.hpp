// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zeroqat/families.hpp>
#include <zeroqat/settings.hpp>

#include <type_traits>

/// What the program does under --scheme stored: the matrices of a .gguf file stay in its types while it trains. Each
/// family of models that such files hold has a translation unit of its own, made from stored.cpp.in.
namespace zoqat::programs {

/// Whether .gguf files hold models of a family.
template <class Family>
inline constexpr bool in_gguf = !std::is_same_v<Family, families::opt_gelu_erf>;

/// Trains the file at `s.model`, and writes it again as `s.output`. Returns what the program returns.
template <class Family>
[[nodiscard]] int train_stored(const settings& s);

/// Makes a trained file again from its log.
template <class Family>
void replay_stored(const settings& s);

}  // namespace zoqat::programs

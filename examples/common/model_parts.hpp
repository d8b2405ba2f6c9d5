// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>  // model_shape

#include <cstdint>
#include <string>
#include <string_view>

/// What a program knows of a model by its sizes alone, before it reads one.
namespace zoqat::programs {

/// Throws value_error, with the option and the names that there are, for a list of patterns by commas that is empty,
/// and for a pattern that is no linear layer's.
void require_layers(std::string_view option, const std::string& patterns, const model_shape& shape);

/// Bytes that a model takes at least of which the linear layers have so many bits per weight: these, and two for each
/// other value.
[[nodiscard]] std::uintmax_t packed_bytes(const model_shape& shape, unsigned bits);

}  // namespace zoqat::programs

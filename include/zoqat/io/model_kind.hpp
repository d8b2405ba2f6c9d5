// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// The model type that computes what a kind says, as a program spells it.
[[nodiscard]] inline std::string type_for(const model_kind& kind) {
  const auto family = model_family_names[static_cast<std::size_t>(kind.family)];
  if (kind == model_kind{}) return fmt::format("nn::{}<Scheme>", family);
  if (kind.activation == activation_function::other) return fmt::format("nn::{}<Scheme, Activation>", family);
  return fmt::format("nn::{}<Scheme, nn::{}>", family,
                     activation_function_names[static_cast<std::size_t>(kind.activation)]);
}

/// Throws io_error, with the type that fits, unless `Model` computes what a file's model does, as far as
/// `Model::kind` says what it computes: an activation of a program's own may take the place of any other.
template <class Model>
void require_kind(const model_kind& stored, std::string_view source) {
  if constexpr (requires { Model::kind; }) {
    constexpr model_kind kind = Model::kind;
    require<io_error>(kind.family == stored.family &&
                          (kind.activation == stored.activation || kind.activation == activation_function::other),
                      "{}: holds a model for {}, but is loaded as {}", source, type_for(stored), type_for(kind));
  }
}

}  // namespace zoqat::io

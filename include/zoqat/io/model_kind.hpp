// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// A kind in words, as the files of models spell its parts.
[[nodiscard]] inline std::string text_of(const model_kind& kind) {
  const auto family = model_family_names[static_cast<std::size_t>(kind.family)];
  if (kind.activation == activation_function::other) return fmt::format("{} with an activation of its own", family);
  return fmt::format("{} with {}", family, activation_function_names[static_cast<std::size_t>(kind.activation)]);
}

/// Throws io_error, with both kinds, unless `Model` computes what a file's model does, as far as
/// `Model::kind` says what it computes: an activation of a program's own may take the place of any other.
template <class Model>
void require_kind(const model_kind& stored, std::string_view source) {
  if constexpr (requires { Model::kind; }) {
    constexpr model_kind kind = Model::kind;
    require<io_error>(kind.family == stored.family &&
                          (kind.activation == stored.activation || kind.activation == activation_function::other),
                      "{}: holds a model of the family {}, but is read as one of {}", source, text_of(stored),
                      text_of(kind));
  }
}

}  // namespace zoqat::io

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>        // fail
#include <zoqat/core/model_shape.hpp>  // model_kind

#include <string_view>

/// The families of models that the program knows, one for each type that computes something else; their models are in
/// family_models.hpp.
namespace zoqat::programs::families {

struct llama {  ///< and Mistral, Qwen2, SmolLM
  static constexpr model_kind kind{};
};
struct qwen3 {
  static constexpr model_kind kind{model_family::qwen3, activation_function::silu};
};
struct opt {
  static constexpr model_kind kind{model_family::opt, activation_function::relu};
};
struct opt_gelu_tanh {
  static constexpr model_kind kind{model_family::opt, activation_function::gelu_tanh};
};
struct opt_gelu_erf {
  static constexpr model_kind kind{model_family::opt, activation_function::gelu_erf};
};

/// Those of a build.
template <class... Families>
struct list {
  /// Calls f.operator()<Family>() for the family of a kind of models. Throws value_error, with `source`, where the
  /// build has none.
  template <class F>
  static void with(const model_kind& kind, std::string_view source, F&& f) {
    const bool found = ((Families::kind == kind && (f.template operator()<Families>(), true)) || ...);
    if (!found)
      fail(
          "{}: holds a model of the family {} with {}, which this build leaves out; configure it with "
          "-D ZOQAT_FAMILIES=all",
          source, model_family_names[static_cast<std::size_t>(kind.family)],
          activation_function_names[static_cast<std::size_t>(kind.activation)]);
  }
};

}  // namespace zoqat::programs::families

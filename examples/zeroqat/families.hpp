// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>        // fail
#include <zoqat/core/model_shape.hpp>  // model_kind
#include <zoqat/nn/llama.hpp>          // llama<scheme>
#include <zoqat/nn/opt.hpp>            // opt<scheme, activation>
#include <zoqat/nn/qwen3.hpp>          // qwen3<scheme>

#include <string_view>

/// The families of models that the program knows, one for each type that computes something else.
namespace zoqat::programs::families {

struct llama {  ///< and Mistral, Qwen2, SmolLM
  static constexpr std::string_view name = "llama";
  template <class Scheme>
  using model = nn::llama<Scheme>;
};
struct qwen3 {
  static constexpr std::string_view name = "qwen3";
  template <class Scheme>
  using model = nn::qwen3<Scheme>;
};
struct opt {
  static constexpr std::string_view name = "opt";
  template <class Scheme>
  using model = nn::opt<Scheme>;
};
struct opt_gelu_tanh {
  static constexpr std::string_view name = "opt_gelu_tanh";
  template <class Scheme>
  using model = nn::opt<Scheme, nn::gelu_tanh>;
};
struct opt_gelu_erf {
  static constexpr std::string_view name = "opt_gelu_erf";
  template <class Scheme>
  using model = nn::opt<Scheme, nn::gelu_erf>;
};

/// Those of a build.
template <class... Families>
struct list {
  /// Calls f.operator()<Family>() for the family of a kind of models. Throws value_error, with `source`, where the
  /// build has none.
  template <class F>
  static void with(const model_kind& kind, std::string_view source, F&& f) {
    const bool found = ((Families::template model<quant::full_precision>::kind == kind &&
                         (f.template operator()<Families>(), true)) ||
                        ...);
    if (!found)
      fail(
          "{}: holds a model of the family {} with {}, which this build leaves out; configure it with "
          "-D ZOQAT_FAMILIES=all",
          source, model_family_names[static_cast<std::size_t>(kind.family)],
          activation_function_names[static_cast<std::size_t>(kind.activation)]);
  }
};

}  // namespace zoqat::programs::families

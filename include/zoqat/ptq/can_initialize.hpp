// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/quant/clipping.hpp>

#include <concepts>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Whether a scheme's grids can be chosen one by one: weights that hold grids, and more than one for a matrix.
template <class Scheme>
inline constexpr bool holds_grids = false;
template <class Scheme>
  requires Scheme::quantizes_weights
inline constexpr bool holds_grids<Scheme> =
    std::same_as<typename Scheme::weight_type::clipping, quant::clip::codes> && !Scheme::weight_type::whole_tensor;

/// Throws value_error, with the tensor's name, unless the quantization of every linear layer can still be started:
/// after `store` or `deploy` masters are in fewer bits or gone, and grids are fixed. `what` is what was asked for.
template <nn::model Model>
void require_can_initialize(Model& model, std::string_view what) {
  model.for_each_shared_input([&](auto&& input) {
    for (const auto* layer : input.layers)
      require(layer->can_initialize(),
              "{}: {} is stored for fine-tuning or packed already; start a model's quantization before store() or "
              "deploy()",
              what, layer->name() + ".weight");
  });
}

}  // namespace zoqat::ptq

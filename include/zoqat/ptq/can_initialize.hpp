// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/quant/clipping.hpp>

#include <algorithm>
#include <concepts>
#include <span>
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

/// Throws value_error for a calibration text without a token, of which nothing can be measured.
inline void require_tokens(std::span<const nn::token_batch> calibration) {
  require(std::ranges::any_of(calibration, [](const nn::token_batch& batch) { return batch.tokens() > 0; }),
          "ptq: the calibration text has no token; give it some of the text to train on");
}

}  // namespace zoqat::ptq

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/model.hpp>

#include <string_view>

namespace zoqat::inline ZOQAT_ABI::ptq {

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

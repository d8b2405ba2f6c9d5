// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/model.hpp>
#include <zoqat/ptq/can_initialize.hpp>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Starts every grid of a model from the range of the weights it covers, as they are after smoothing: the default
/// asymmetric quantization that everything else is measured against. Throws as `require_can_initialize` does.
template <nn::model Model>
void round_to_nearest(Model& model) {
  require_can_initialize(model, "round_to_nearest");
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  });
}

}  // namespace zoqat::ptq

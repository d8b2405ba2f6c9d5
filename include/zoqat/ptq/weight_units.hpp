// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>
#include <zoqat/nn/model.hpp>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Measures the weights of every layer that has masters in cells of its grids: the unit of a row becomes its mean
/// step size, so that an ε of the weight group is the ε/Δ of Appendix G in every row. Packed layers stay as they are.
/// Call it once the grids are where training begins; `prepare` does. Costs one quantization of the weights.
template <nn::model Model>
void set_weight_units(Model& model) {
  model.for_each_shared_input([](auto&& input) {
    for (auto* layer : input.layers) layer->set_weight_units(*input.smoothing);
  });
}

}  // namespace zoqat::ptq

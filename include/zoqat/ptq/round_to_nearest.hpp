// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace zoqat::ptq {

/// Starts every grid of a model from the range of the weights it covers, as they are after smoothing: the default
/// asymmetric quantization that everything else is measured against.
template <class Model>
void round_to_nearest(Model& model) {
  model.for_each_site([](auto&& site) {
    for (auto* layer : site.layers) layer->start_clipping(*site.smoothing);
  });
}

}  // namespace zoqat::ptq

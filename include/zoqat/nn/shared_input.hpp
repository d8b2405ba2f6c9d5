// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/smoothing.hpp>

#include <array>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The linear layers that read one input, and the smoothing they share. What calibration works on.
template <class Linear, std::size_t N>
struct shared_input {
  std::array<Linear*, N> layers;
  nn::smoothing* smoothing;
  bool writes_stream;  ///< the layer's output is added to the residual stream
};

/// Shows a visitor (nn/visit.hpp) the linear layers of a part of a block, and then what smooths their inputs.
template <class Layer, class V>
void visit_shared_inputs(Layer& layer, V&& v) {
  layer.for_each_shared_input([&](auto&& input) {
    for (auto* projection : input.layers)
      if constexpr (requires { v.linear(*projection, *input.smoothing); })
        v.linear(*projection, *input.smoothing);
      else
        projection->visit(v);
  });
  layer.for_each_shared_input([&](auto&& input) { input.smoothing->visit(v); });
}

}  // namespace zoqat::nn

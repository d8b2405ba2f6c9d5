// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/smoothing.hpp>

#include <array>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The linear layers that read one input, and the smoothing they share. What calibration works on.
template <class Linear, std::size_t N>
struct site {
  std::array<Linear*, N> layers;
  nn::smoothing* smoothing;
  bool writes_stream;  ///< the layer's output is added to the residual stream
};

}  // namespace zoqat::nn

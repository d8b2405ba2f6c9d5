// SPDX-License-Identifier: Apache-2.0
#include "weights.hpp"

#include <zoqat/zoqat.hpp>

std::vector<float> initial_weights() {
  std::vector<float> weights(64);
  zoqat::rng::gaussian({.seed = 1}, 0, weights);
  return weights;
}

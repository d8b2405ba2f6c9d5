// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/random_model.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::testing {

/// Observer of a pass that keeps the input of every layer.
struct input_recorder {
  std::vector<matrix<float>>* to;

  template <class Input>
  void observe(const Input&, matrix_view<const float> x) const {
    to->emplace_back(x.rows(), x.cols());
    for (std::size_t row = 0; row != x.rows(); ++row) std::ranges::copy(x.row(row), to->back().row(row).begin());
  }
};

/// The inputs of linear layers in passes over a corpus: [batches * inputs], in the order of the passes.
template <class Model>
[[nodiscard]] std::vector<matrix<float>> inputs_of_layers(Model& model, std::span<const nn::token_batch> corpus) {
  std::vector<matrix<float>> inputs;
  sequential threads;
  for (const auto& batch : corpus) {
    nn::workspace work;
    model.forward(nn::forward_pass<simd::default_kernels, inference_lane, sequential, input_recorder>{
        at_masters, threads, batch, work, nullptr, {&inputs}});
  }
  return inputs;
}

}  // namespace zoqat::testing

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/channel_ranges.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/ptq/shifting.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Starts the smoothing of one shared input as SmoothQuant does (arXiv 2211.10438, eq. 4): s_j = max|X_j|^α /
/// max|W_j|^(1−α), the weights' maximum over all layers that read it. `ranges` are those of its inputs, before the
/// shift that it may have; `layers` are in full precision.
template <class Layers>
void init_smoothing(nn::smoothing& smooth, std::span<const channel_range> ranges, const Layers& layers, float alpha) {
  constexpr float least = 1e-5f;
  matrix<float> shifts;
  smooth.shifts(inference_lane{}, shifts);
  const auto log_scale = smooth.log_scale().values().flat();
  std::vector<float> x(log_scale.size(), least), w(log_scale.size(), least);
  for (std::size_t j = 0; j != smooth.width(); ++j) {
    const std::size_t to = smooth.source(j);
    x[to] = std::max(x[to], ranges[j].reach(shifts.empty() ? 0.0f : shifts(0, j)));
    for (const auto* layer : layers)
      for (std::size_t row = 0; row != layer->out_features(); ++row)
        w[to] = std::max(w[to], std::abs(layer->weight().values()(row, j)));
  }
  for (std::size_t i = 0; i != log_scale.size(); ++i)
    log_scale[i] = alpha * std::log(x[i]) - (1 - alpha) * std::log(w[i]);
}

/// Starts a whole model as SmoothQuant does, at the inputs where a norm feeds linear layers, and its grids from the
/// smoothed weights. A scheme that shifts inputs has its shifts started first, at all inputs (see init_shift).
/// `teacher` is the model in full precision. A scheme without quantized activations has no smoothing, and this is
/// round-to-nearest. Throws as `require_can_initialize` does, and value_error for an alpha outside [0, 1] and, where
/// there is smoothing, a corpus without a token. Cost: one pass of the teacher over `corpus`.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, nn::model Teacher, executor Executor>
void smoothquant(Model& model, Teacher& teacher, std::span<const nn::token_batch> corpus, float alpha,
                 Executor& threads) {
  require_can_initialize(model, "smoothquant");
  require(alpha >= 0 && alpha <= 1,
          "smoothquant: alpha is {}; it is from 0, where inputs keep their range, to 1, where weights take it over",
          alpha);
  if constexpr (Model::scheme::smooths_inputs) {
    const channel_ranges ranges = input_ranges<Kernels>(teacher, corpus, threads);
    std::size_t index = 0;
    model.for_each_shared_input([&](auto&& input) {
      const auto of_input = ranges.of_input(index++);
      if (input.smoothing->shifts()) init_shift(*input.smoothing, of_input);
      if (input.smoothing->active() && !input.writes_stream)
        init_smoothing(*input.smoothing, of_input, input.layers, alpha);
    });
  }
  round_to_nearest(model);
}

}  // namespace zoqat::ptq

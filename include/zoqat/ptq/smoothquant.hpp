// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/site.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/simd/inference_lane.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::ptq {

/// max |x| of every input channel of every site of a model, in the order in which a pass meets the sites.
class channel_peaks {
 public:
  /// Records one pass. Hand a fresh `observer()` to each.
  struct observer_type {
    channel_peaks* to;
    std::size_t* next;

    template <class Site>
    void observe(const Site&, matrix_view<const float> x) const {
      if (*next == to->peaks_.size()) to->peaks_.emplace_back(x.cols(), 0.0f);
      auto& peak = to->peaks_[(*next)++];
      for (std::size_t row = 0; row != x.rows(); ++row)
        for (std::size_t j = 0; j != x.cols(); ++j) peak[j] = std::max(peak[j], std::abs(x(row, j)));
    }
  };
  [[nodiscard]] observer_type observer() {
    next_ = 0;
    return {this, &next_};
  }
  [[nodiscard]] std::span<const float> of_site(std::size_t i) const { return peaks_[i]; }

 private:
  std::vector<std::vector<float>> peaks_;
  std::size_t next_ = 0;
};

/// Starts the smoothing of one site as SmoothQuant does (arXiv 2211.10438, eq. 4): s_j = max|X_j|^α / max|W_j|^(1−α),
/// the weights' maximum over all layers that read the site. `layers` are in full precision.
template <class Layers>
void start_smoothing(nn::smoothing& site, std::span<const float> peaks, const Layers& layers, float alpha) {
  constexpr float least = 1e-5f;
  const auto log_scale = site.log_scale().values().flat();
  std::vector<float> x(log_scale.size(), least), w(log_scale.size(), least);
  for (std::size_t j = 0; j != site.width(); ++j) {
    const std::size_t to = site.source(j);
    x[to] = std::max(x[to], peaks[j]);
    for (const auto* layer : layers)
      for (std::size_t row = 0; row != layer->out_features(); ++row)
        w[to] = std::max(w[to], std::abs(layer->weight().values()(row, j)));
  }
  for (std::size_t i = 0; i != log_scale.size(); ++i)
    log_scale[i] = alpha * std::log(x[i]) - (1 - alpha) * std::log(w[i]);
}

/// Starts a whole model as SmoothQuant does, at the sites where a norm feeds linear layers, and its grids from the
/// smoothed weights. `teacher` is the model in full precision. A scheme without quantized activations has no smoothing,
/// and this is round-to-nearest. Cost: one pass of the teacher over `corpus`.
template <simd::kernels Kernels = simd::default_kernels, class Model, class Teacher, executor Executor>
void smoothquant(Model& model, Teacher& teacher, std::span<const nn::token_batch> corpus, float alpha, Executor& threads) {
  if constexpr (Model::scheme::quantizes_activations) {
    channel_peaks peaks;
    nn::workspace work;
    constexpr inference_lane lane;
    for (const nn::token_batch& batch : corpus)
      teacher.forward(nn::forward_pass<Kernels, inference_lane, Executor, channel_peaks::observer_type>{
          lane, threads, batch, work, nullptr, peaks.observer()});
    std::size_t index = 0;
    model.for_each_site([&](auto&& site) {
      if (site.smoothing->active() && !site.writes_stream)
        start_smoothing(*site.smoothing, peaks.of_site(index), site.layers, alpha);
      ++index;
    });
  }
  round_to_nearest(model);
}

}  // namespace zoqat::ptq

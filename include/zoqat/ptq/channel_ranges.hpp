// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Least and greatest value that an input channel had.
struct channel_range {
  float min = std::numeric_limits<float>::infinity(), max = -std::numeric_limits<float>::infinity();

  void add(const channel_range& other) noexcept {
    min = std::min(min, other.min);
    max = std::max(max, other.max);
  }
  /// Greatest distance from `center`; 0 where nothing was seen.
  [[nodiscard]] float reach(float center) const noexcept {
    return min <= max ? std::max(max - center, center - min) : 0.0f;
  }
};

/// The ranges of every channel of every input of linear layers, in the order of a pass.
class channel_ranges {
 public:
  /// Records one pass. Hand a fresh `observer()` to each.
  struct observer_type {
    channel_ranges* to;
    std::size_t* next;

    template <class Input>
    void observe(const Input&, matrix_view<const float> x) const {
      if (*next == to->inputs_.size()) to->inputs_.emplace_back(x.cols());
      auto& ranges = to->inputs_[(*next)++];
      for (std::size_t row = 0; row != x.rows(); ++row)
        for (std::size_t j = 0; j != x.cols(); ++j) ranges[j].add({x(row, j), x(row, j)});
    }
  };
  [[nodiscard]] observer_type observer() {
    next_ = 0;
    return {this, &next_};
  }
  [[nodiscard]] std::span<const channel_range> of_input(std::size_t i) const { return inputs_[i]; }

 private:
  std::vector<std::vector<channel_range>> inputs_;
  std::size_t next_ = 0;
};

/// What the inputs of a model's linear layers range over. Throws value_error for a corpus without a token. Cost: one
/// pass over `corpus`.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, executor Executor>
[[nodiscard]] channel_ranges input_ranges(Model& model, std::span<const nn::token_batch> corpus, Executor& threads) {
  require_tokens(corpus);
  channel_ranges ranges;
  nn::workspace work;
  constexpr inference_lane lane;
  for (const nn::token_batch& batch : corpus)
    model.forward(nn::forward_pass<Kernels, inference_lane, Executor, channel_ranges::observer_type>{
        lane, threads, batch, work, nullptr, ranges.observer()});
  return ranges;
}

}  // namespace zoqat::ptq

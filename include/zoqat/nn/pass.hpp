// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

using token = std::uint32_t;

/// Target of a token that is not scored.
inline constexpr std::int64_t not_scored = -1;

/// Sequences of any lengths, one after the other, and what each token should be followed by.
class token_batch {
 public:
  /// Appends a sequence whose every token but the last is scored on its successor.
  void add(std::span<const token> sequence) {
    for (std::size_t i = 0; i != sequence.size(); ++i)
      targets_.push_back(i + 1 == sequence.size() ? not_scored : std::int64_t{sequence[i + 1]});
    tokens_.insert(tokens_.end(), sequence.begin(), sequence.end());
    starts_.push_back(tokens_.size());
  }
  /// Appends a sequence with targets of its own (`not_scored`: none), as for losses on an answer only. Throws
  /// value_error unless there is one for each token, and none below `not_scored`.
  void add(std::span<const token> sequence, std::span<const std::int64_t> targets) {
    require(sequence.size() == targets.size(), "token_batch: {} tokens but {} targets", sequence.size(),
            targets.size());
    for (const std::int64_t target : targets)
      require(target >= not_scored, "token_batch: target {}; {} marks a token that is not scored", target,
              not_scored);
    tokens_.insert(tokens_.end(), sequence.begin(), sequence.end());
    targets_.insert(targets_.end(), targets.begin(), targets.end());
    starts_.push_back(tokens_.size());
  }

  [[nodiscard]] std::size_t tokens() const noexcept { return tokens_.size(); }
  [[nodiscard]] std::size_t sequences() const noexcept { return starts_.size() - 1; }
  [[nodiscard]] std::size_t start(std::size_t sequence) const noexcept { return starts_[sequence]; }
  [[nodiscard]] std::size_t length(std::size_t sequence) const noexcept {
    return starts_[sequence + 1] - starts_[sequence];
  }
  [[nodiscard]] token operator[](std::size_t i) const noexcept { return tokens_[i]; }
  [[nodiscard]] std::int64_t target(std::size_t i) const noexcept { return targets_[i]; }

 private:
  std::vector<token> tokens_;
  std::vector<std::int64_t> targets_;
  std::vector<std::size_t> starts_{0};
};

/// Keys and values of the tokens seen so far, layer by layer, for one sequence on one lane.
struct kv_cache {
  struct layer {
    matrix<float> keys, values;  ///< [room, kv_heads * head_size]
  };
  std::vector<layer> layers;
  std::size_t length = 0;  ///< tokens held

  /// Makes room for `tokens` in all, of at most `most`. The room doubles, so that tokens that come one at a time are
  /// copied a few times at most, and memory follows what was said and not what a model could take.
  void reserve(std::size_t tokens, std::size_t most) {
    for (layer& l : layers)
      for (matrix<float>* held : {&l.keys, &l.values}) {
        if (tokens <= held->rows()) continue;
        matrix<float> larger(std::min(most, std::max({tokens, 2 * held->rows(), std::size_t{64}})), held->cols());
        std::copy_n(held->data(), length * held->cols(), larger.data());
        *held = std::move(larger);
      }
  }
};

/// Buffers of a `linear_input`: those of one shared input at a time.
struct input_buffers {
  matrix<float> scales, inverse, shifts;  ///< of each lane: [lanes, in]
  matrix<float> smoothed;                 ///< [rows, in]
  matrix<std::uint8_t> codes;             ///< [rows, in and a margin]
  matrix<simd::grid> grids;               ///< [groups of inputs, rows]
  matrix<std::int32_t> code_sums;         ///< [parts, rows]
  matrix<float> value_sums;               ///< [groups of weights, rows]
  matrix<float> part_sums;                ///< [rows, parts]
};

/// Buffers of a low-rank adapter.
struct adapter_buffers {
  input_buffers none;   ///< stay empty: nothing is done to its inputs
  matrix<float> inner;  ///< between its two products: [rows, rank]
};

/// Buffers of a forward pass, kept from one pass to the next. Each is [lanes * tokens, width].
struct workspace {
  input_buffers input;                     ///< of the linear layers
  adapter_buffers adapter;                 ///< of what is beside them
  matrix<float> stream;                    ///< the residual stream
  matrix<float> normed;                    ///< input of a layer
  matrix<float> query, key, value, mixed;  ///< inside attention
  matrix<float> gate, up;                  ///< inside the MLP
};

/// Sees the input of every linear layer of a pass, as calibration does: `observe(input, x)` where x is
/// [lanes * tokens, in_features] before smoothing and quantization, and `input` (nn/shared_input.hpp) names the
/// layers that read it.
struct no_observer {
  template <class Input>
  static constexpr void observe(const Input&, matrix_view<const float>) noexcept {}
};

/// Everything a layer needs to know of the forward pass it is in. Rows of an activation go lane after lane, and in a
/// lane token after token: row lane * tokens + i.
template <simd::kernels Kernels, lane_reader Lanes, executor Executor, class Observer = no_observer>
struct forward_pass {
  using kernels = Kernels;

  const Lanes& lanes;
  Executor& threads;
  const token_batch& batch;
  workspace& work;
  kv_cache* cache = nullptr;  ///< generation: one lane, one sequence that continues the cached one
  Observer observer{};

  [[nodiscard]] std::size_t tokens() const noexcept { return batch.tokens(); }
  [[nodiscard]] std::size_t rows() const noexcept { return lanes.count() * tokens(); }
  /// Position of the first token of a sequence.
  [[nodiscard]] std::size_t first_position() const noexcept { return cache ? cache->length : 0; }

  /// Calls f(row) for all rows, in parallel blocks that do not follow the number of threads.
  template <class F>
  void for_each_row(F&& f) const {
    constexpr std::size_t block = 32;
    threads.parallel_for((rows() + block - 1) / block, [&](std::size_t b) {
      for (std::size_t row = b * block; row != std::min(rows(), (b + 1) * block); ++row) f(row);
    });
  }
};

}  // namespace zoqat::nn

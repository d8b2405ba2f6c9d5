// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/positions.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <mutex>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Rotary position embedding: pair i of a head at position p turns by the angle p · theta^(−2i/d), the frequencies
/// scaled as the shape says. Which elements form a pair is a value, since checkpoints of one architecture differ in
/// it. Cosines and sines are computed as far as passes reach, a block of positions at a time, since a model may claim
/// millions of positions: head_size floats for each position that was asked for.
class rope {
 public:
  explicit rope(const model_shape& shape)
      : pairing_(shape.rope), positions_(shape.positions), blocks_((shape.positions + in_block - 1) / in_block) {
    require(shape.head_size % 2 == 0, "rope: the head size is {}, but rotations need an even one", shape.head_size);
    for (std::size_t i = 0; i != shape.head_size / 2; ++i) {
      frequencies_.push_back(
          scaled_frequency(rope_frequency(i, shape.head_size, shape.rope_theta), shape.rope_scaling));
    }
  }

  /// Longest sequence that the model takes.
  [[nodiscard]] std::size_t positions() const noexcept { return positions_; }

  /// Makes positions [0, end) ready for `apply`; `end` is at most positions(). Passes on several threads may call it.
  void reach(std::size_t end) const {
    const std::scoped_lock lock(mutex_);
    for (; ready_ < end; ready_ += std::min(in_block, positions_ - ready_)) blocks_[ready_ / in_block] = make_block();
  }

  /// Turns one head [head_size] at a position, in place. This thread has called `reach` for it.
  template <class Kernels>
  void apply(float* head, std::size_t position) const noexcept {
    const block& of = blocks_[position / in_block];
    const float* const c = of.cos.row(position % in_block).data();
    const float* const s = of.sin.row(position % in_block).data();
    if (pairing_ == rope_pairing::half_split)
      Kernels::rope_half_split(head, c, s, 2 * pairs());
    else
      Kernels::rope_interleaved(head, c, s, 2 * pairs());
  }

  /// Pairs in a head, and the one that channel `j` belongs to: smoothing must treat the two channels of a pair alike.
  [[nodiscard]] std::size_t pairs() const noexcept { return frequencies_.size(); }
  [[nodiscard]] std::size_t pair(std::size_t j) const noexcept {
    return pairing_ == rope_pairing::half_split ? j % pairs() : j / 2;
  }

 private:
  static constexpr std::size_t in_block = 256;
  struct block {
    matrix<float> cos, sin;  ///< [positions, pairs]
  };

  /// The block that begins at `ready_`.
  [[nodiscard]] block make_block() const {
    const std::size_t count = std::min(in_block, positions_ - ready_);
    block made{matrix<float>(count, pairs()), matrix<float>(count, pairs())};
    for (std::size_t p = 0; p != count; ++p)
      for (std::size_t i = 0; i != pairs(); ++i) {
        const double angle = static_cast<double>(ready_ + p) * frequencies_[i];
        made.cos(p, i) = static_cast<float>(std::cos(angle));
        made.sin(p, i) = static_cast<float>(std::sin(angle));
      }
    return made;
  }

  rope_pairing pairing_;
  std::size_t positions_;
  std::vector<double> frequencies_;  ///< [pairs]
  mutable std::mutex mutex_;
  mutable std::vector<block> blocks_;  ///< those up to `ready_` are there, and stay as they are
  mutable std::size_t ready_ = 0;      ///< a multiple of in_block, or all positions
};
static_assert(position_encoding<rope> && !embedded_positions<rope>);

}  // namespace zoqat::nn

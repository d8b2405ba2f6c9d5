// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/positions.hpp>

#include <cmath>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Rotary position embedding: pair i of a head at position p turns by the angle p · theta^(−2i/d), the frequencies
/// scaled as the shape says. Which elements form a pair is a value, since checkpoints of one architecture differ in
/// it.
class rope {
 public:
  explicit rope(const model_shape& shape)
      : pairing_(shape.rope), cos_(shape.positions, shape.head_size / 2), sin_(shape.positions, shape.head_size / 2) {
    require(shape.head_size % 2 == 0, "rope: the head size is {}, but rotations need an even one", shape.head_size);
    for (std::size_t i = 0; i != shape.head_size / 2; ++i) {
      const double frequency =
          scaled_frequency(rope_frequency(i, shape.head_size, shape.rope_theta), shape.rope_scaling);
      for (std::size_t p = 0; p != shape.positions; ++p) {
        const double angle = static_cast<double>(p) * frequency;
        cos_(p, i) = static_cast<float>(std::cos(angle));
        sin_(p, i) = static_cast<float>(std::sin(angle));
      }
    }
  }

  /// Longest sequence the table reaches.
  [[nodiscard]] std::size_t positions() const noexcept { return cos_.rows(); }

  /// Turns one head [head_size] at a position, in place.
  template <class Kernels>
  void apply(float* head, std::size_t position) const noexcept {
    const float *const c = cos_.row(position).data(), *const s = sin_.row(position).data();
    if (pairing_ == rope_pairing::half_split)
      Kernels::rope_half_split(head, c, s, 2 * cos_.cols());
    else
      Kernels::rope_interleaved(head, c, s, 2 * cos_.cols());
  }

  /// Pairs in a head, and the one that channel `j` belongs to: smoothing must treat the two channels of a pair alike.
  [[nodiscard]] std::size_t pairs() const noexcept { return cos_.cols(); }
  [[nodiscard]] std::size_t pair(std::size_t j) const noexcept {
    return pairing_ == rope_pairing::half_split ? j % cos_.cols() : j / 2;
  }

 private:
  rope_pairing pairing_;
  matrix<float> cos_, sin_;  ///< [positions, head_size / 2]
};
static_assert(position_encoding<rope> && !embedded_positions<rope>);

}  // namespace zoqat::nn

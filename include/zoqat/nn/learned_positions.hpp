// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/positions.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>

#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Learned absolute positions, as in OPT: a vector for each position is added to the token embeddings where the
/// residual stream starts, and attention does nothing of its own.
class learned_positions {
 public:
  /// The vectors of all positions. They stay as they were loaded, like the token embeddings.
  class embedding {
   public:
    embedding(parameter_ids& ids, const model_shape& shape)
        : table_(ids, "model.embed_positions.weight", parameter_group::norm, shape.positions + opt_unused_positions,
                 shape.hidden) {}

    /// What is added to a token at `position`, [hidden]: where it lies, or in `room`.
    template <simd::kernels Kernels>
    [[nodiscard]] const float* row(std::size_t position, buffer<float>& room) const {
      return table_.master_rows().read<Kernels>(position + opt_unused_positions, 1, room).data();
    }
    template <class V>
    void visit(V&& v) {
      v.tensor(table_, use::embedding);
    }

   private:
    trainable table_;  ///< [positions + opt_unused_positions, hidden]
  };

  explicit learned_positions(const model_shape& shape) noexcept
      : positions_(shape.positions), head_size_(shape.head_size) {}

  /// Longest sequence the table reaches.
  [[nodiscard]] std::size_t positions() const noexcept { return positions_; }
  /// No two channels of a head turn together: each may be smoothed on its own.
  [[nodiscard]] std::size_t pairs() const noexcept { return head_size_; }
  [[nodiscard]] std::size_t pair(std::size_t j) const noexcept { return j; }

 private:
  std::size_t positions_, head_size_;
};
static_assert(position_encoding<learned_positions> && !rotary_positions<learned_positions>);

}  // namespace zoqat::nn

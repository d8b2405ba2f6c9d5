// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// A position scheme that turns queries and keys inside attention: `apply<Kernels>(head, position)`, in place, for
/// positions below what `reach(end)` was called with before.
template <class P>
concept rotary_positions = requires(const P& p, float* head) {
  p.reach(std::size_t{});
  p.template apply<simd::default_kernels>(head, std::size_t{});
};

/// A position scheme that the residual stream starts with: its `embedding` holds one vector for each position, which
/// the decoder keeps beside its token embeddings and adds to them.
template <class P>
concept embedded_positions = requires(const typename P::embedding& e, std::size_t position, buffer<float>& room) {
  requires std::constructible_from<typename P::embedding, parameter_ids&, const model_shape&>;
  { e.template row<simd::default_kernels>(position, room) } -> std::convertible_to<const float*>;
};

/// What attention asks of a position scheme: one of the two kinds above, the longest sequence, and which channels of
/// a head must be smoothed alike. Channel j of a head reads scale `pair(j)` of its `pairs()`.
template <class P>
concept position_encoding = std::constructible_from<P, const model_shape&> &&
                            (rotary_positions<P> || embedded_positions<P>)&&requires(const P& p, std::size_t j) {
                              { p.positions() } -> std::convertible_to<std::size_t>;
                              { p.pairs() } -> std::convertible_to<std::size_t>;
                              { p.pair(j) } -> std::convertible_to<std::size_t>;
                            };

/// The position of every token of a pass in its sequence, of which the first is `start`: [tokens]. Throws value_error
/// for a sequence longer than `limit`.
template <class Pass>
[[nodiscard]] std::vector<std::size_t> token_positions(const Pass& pass, std::size_t limit, std::size_t start = 0) {
  std::vector<std::size_t> positions;
  positions.reserve(pass.tokens());
  for (std::size_t s = 0; s != pass.batch.sequences(); ++s) {
    const std::size_t first = start + pass.first_position(), last = first + pass.batch.length(s);
    require(last <= limit, "positions: a sequence of {} tokens exceeds the model's {} positions", last, limit);
    for (std::size_t position = first; position != last; ++position) positions.push_back(position);
  }
  return positions;
}

}  // namespace zoqat::nn

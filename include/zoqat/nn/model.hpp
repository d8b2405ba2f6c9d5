// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <concepts>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::nn {

namespace detail {
/// Stands for any pass, and for any function, where a concept asks whether a model takes one.
using some_pass = forward_pass<simd::default_kernels, inference_lane, sequential>;
struct some_function {
  template <class... Arguments>
  void operator()(Arguments&&...) const {}
};
}  // namespace detail

/// What runs and tells its sizes: `forward(pass)` computes on all lanes of a pass and leaves its result in the pass's
/// workspace.
template <class M>
concept runnable_model = requires(M& m, const detail::some_pass& pass) {
  { m.shape() } -> std::convertible_to<const model_shape&>;
  m.forward(pass);
};

/// What losses, evaluation, generation and the objectives of training ask of a model: after `forward(pass)`, its
/// logits after some tokens of the batch, all at once or tile by tile (see nn::decoder).
template <class M>
concept language_model = runnable_model<M> && requires(M& m, const detail::some_pass& pass,
                                                       std::span<const std::size_t> tokens, matrix_view<float> out) {
  m.logits(pass, tokens, out);
  m.for_each_logit_tile(pass, tokens, detail::some_function());
};

/// What post-training quantization asks of a model: its quantization scheme, and the inputs at which linear layers
/// read a smoothed and quantized input.
template <class M>
concept model = runnable_model<M> && requires(M& m) {
  typename M::scheme;
  m.for_each_shared_input(detail::some_function());
};

}  // namespace zoqat::nn

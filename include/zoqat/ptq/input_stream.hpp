// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/ptq/block_trace.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/moments.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// The residual stream of a corpus on its way through a model, block by block, with what its linear layers read. The
/// model may change between passes: whoever quantizes it sees the inputs that what is quantized so far leaves.
/// Memory: the stream, [tokens, hidden] floats for the whole corpus.
template <nn::model Model, executor Executor, simd::kernels Kernels = simd::default_kernels>
class input_stream {
 public:
  using scheme = typename Model::scheme;

  /// Embeds the corpus, which must outlive this as the model must. The stream is before the first block. Throws
  /// value_error for a corpus without a token.
  input_stream(Model& model, std::span<const nn::token_batch> corpus, Executor& threads)
      : model_(model), corpus_(corpus), threads_(threads) {
    require_tokens(corpus);
    for (const nn::token_batch& batch : corpus) {
      nn::workspace work;
      model.embed(pass_of(batch, work));
      streams_.push_back(std::move(work.stream));
    }
  }

  [[nodiscard]] std::span<const nn::token_batch> corpus() const noexcept { return corpus_; }
  /// The block that the stream is before.
  [[nodiscard]] typename Model::block_type& block() noexcept { return model_.blocks()[block_]; }
  /// The stream of batch `i` there.
  [[nodiscard]] const matrix<float>& stream(std::size_t i) const noexcept { return streams_[i]; }

  /// What one pass of batch `i` through this block leaves. The stream stays where it is.
  [[nodiscard]] detail::block_trace trace(std::size_t i) {
    return detail::block_trace::of<Kernels>(block(), corpus_[i], streams_[i], threads_);
  }
  /// Takes the stream behind the block. `traces` may be what `trace` said of each batch, if the block has not changed
  /// since.
  void advance(std::span<detail::block_trace> traces = {}) {
    for (std::size_t i = 0; i != corpus_.size(); ++i)
      streams_[i] = std::move(traces.empty() ? trace(i).streams.back() : traces[i].streams.back());
    ++block_;
  }

  /// What the weights [out, in] are multiplied with where batch `i` gives `x`: the smoothed input, on its grid if
  /// activations are quantized, and δ / s, since what a shift takes off comes back through the bias by the same
  /// weights (B̃ = B + δW).
  [[nodiscard]] matrix<float> effective_input(const matrix<float>& x, std::size_t i, const nn::smoothing& smoothing) {
    nn::workspace work;
    const auto pass = pass_of(corpus_[i], work);
    const nn::linear_input<scheme> input(pass, x, smoothing);
    matrix<float> seen(x.rows(), x.cols());
    for (std::size_t row = 0; row != x.rows(); ++row) {
      if constexpr (scheme::quantizes_activations)
        input.template dequantize<Kernels>(row, seen.row(row).data());
      else
        std::ranges::copy(input.values.row(row), seen.row(row).begin());
      for (std::size_t j = 0; j != input.shifts.cols(); ++j) seen(row, j) += input.shifts(0, j) / input.scales(0, j);
    }
    return seen;
  }

 private:
  [[nodiscard]] auto pass_of(const nn::token_batch& batch, nn::workspace& work) {
    static constexpr inference_lane lane;
    return nn::forward_pass<Kernels, inference_lane, Executor>{lane, threads_, batch, work};
  }

  Model& model_;
  std::span<const nn::token_batch> corpus_;
  Executor& threads_;
  std::vector<matrix<float>> streams_;
  std::size_t block_ = 0;
};

namespace detail {
/// Makes means of moments that were summed up over `rows` inputs of a layer, and perhaps of others. Throws
/// value_error, with the layer and the channel, where inputs are not finite, or too large for their squares to be.
template <class Linear>
void average_moments(matrix<double>& moments, double rows, const Linear& layer) {
  for (double& v : moments.flat()) v /= rows;
  for (std::size_t k = 0; k != moments.rows(); ++k)
    require(std::isfinite(moments(k, k)),
            "ptq: E[x²] of channel {} of what {} reads is {}: the model's values are out of hand there; look at its "
            "perplexity before it is quantized",
            k, layer.name(), moments(k, k));
}
}  // namespace detail

/// Quantizes a model input by input, in the order of a pass: calls fit(input, moments) for each shared input
/// (nn/shared_input.hpp), where `moments` are E[x xᵀ] [in, in] of what its weights are multiplied with after all
/// inputs before it were fitted. `progress(block, blocks)` is called before each block. Throws value_error for a
/// corpus without a token, and for inputs that are not finite. Cost: one pass over the corpus for each input of a
/// block and one more, and 2 in² operations for each token and input.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, executor Executor, class Progress,
          class Fit>
void fit_inputs_in_order(Model& model, std::span<const nn::token_batch> corpus, Executor& threads,
                         Progress&& progress, Fit&& fit) {
  input_stream<Model, Executor, Kernels> stream(model, corpus, threads);
  for (std::size_t b = 0; b != model.blocks().size(); ++b) {
    progress(b, model.blocks().size());
    std::size_t index = 0;
    stream.block().for_each_residual([&](auto& r) {
      r.layer().for_each_shared_input([&](auto&& input) {
        const std::size_t in = input.layers[0]->in_features();
        matrix<double> moments(in, in, 0.0);
        double rows = 0;
        for (std::size_t i = 0; i != corpus.size(); ++i) {
          const matrix<float> x = stream.effective_input(stream.trace(i).inputs[index], i, *input.smoothing);
          add_moments<Kernels>(x, x, moments, threads);
          rows += static_cast<double>(x.rows());
        }
        detail::average_moments(moments, rows, *input.layers[0]);
        fit(input, std::move(moments));
        ++index;
      });
    });
    stream.advance();
  }
}

}  // namespace zoqat::ptq

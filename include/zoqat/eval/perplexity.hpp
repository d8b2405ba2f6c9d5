// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// Chunks as one batch, each a sequence of its own.
[[nodiscard]] inline nn::token_batch batch_of(std::span<const std::vector<std::uint32_t>> sequences) {
  nn::token_batch batch;
  for (const auto& sequence : sequences) batch.add(sequence);
  return batch;
}

/// A corpus as batches of at most `size` chunks. Throws value_error for a size of zero.
[[nodiscard]] inline std::vector<nn::token_batch> batches_of(std::span<const std::vector<std::uint32_t>> corpus,
                                                             std::size_t size = 8) {
  require(size > 0, "batches_of: batches of no chunks");
  std::vector<nn::token_batch> batches;
  for (; !corpus.empty(); corpus = corpus.subspan(std::min(size, corpus.size())))
    batches.push_back(batch_of(corpus.first(std::min(size, corpus.size()))));
  return batches;
}

/// Cross-entropy of a model over a corpus: every token of a chunk but its first is predicted from those before it in
/// the chunk. exp(mean()) is the perplexity. Cost: one forward pass over the corpus, `batch` chunks at a time.
template <simd::kernels Kernels = simd::default_kernels, nn::language_model Model, executor Executor>
[[nodiscard]] nn::token_loss cross_entropy(Model& model, const chunks& corpus, Executor& threads, nn::workspace& work,
                                           std::size_t batch = 8) {
  nn::token_loss total;
  constexpr inference_lane lane;
  for (const nn::token_batch& tokens : batches_of(corpus, batch)) {
    const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, threads, tokens, work};
    nn::token_loss loss;
    nn::cross_entropy(model, pass, std::span(&loss, 1));
    total.sum += loss.sum;
    total.tokens += loss.tokens;
  }
  return total;
}

template <simd::kernels Kernels = simd::default_kernels, nn::language_model Model, executor Executor>
[[nodiscard]] double perplexity(Model& model, const chunks& corpus, Executor& threads, nn::workspace& work,
                                std::size_t batch = 8) {
  return std::exp(cross_entropy<Kernels>(model, corpus, threads, work, batch).mean());
}

}  // namespace zoqat::eval

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/nn/generate.hpp>
#include <zoqat/nn/model.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// Chunks of text that a model writes itself, each from the token `begin` on: data for calibration, training and
/// evaluation where there is none (LLM-QAT, arXiv 2305.17888, section 3.1). Each chunk has random numbers of its own,
/// so the result does not depend on the number of threads. No token ends a chunk: a model that ends its text early
/// writes the next one after it. Throws value_error for a length that is zero or more than the model's positions.
template <nn::language_model Model, executor Executor>
[[nodiscard]] chunks sample_corpus(Model& model, std::size_t count, std::size_t length, nn::sampling how,
                                   std::uint32_t begin, std::uint64_t seed, Executor& threads) {
  require(length > 0 && length <= model.shape().positions,
          "sample_corpus: chunks of {} tokens, but the model has positions for 1 to {}", length,
          model.shape().positions);
  chunks corpus(count);
  threads.parallel_for(count, [&](std::size_t i) {
    sequential here;
    nn::generator<Model, sequential> generate(model, here);
    rng::engine random({.seed = seed, .tensor = static_cast<std::uint32_t>(i), .use = rng::purpose::sampling});
    corpus[i].push_back(begin);
    const auto more = generate(
        corpus[i], length - 1, how, random, [](auto) { return false; }, [](auto) {});
    corpus[i].insert(corpus[i].end(), more.begin(), more.end());
  });
  return corpus;
}

}  // namespace zoqat::eval

// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What this library makes of a text, as JSON, for compare.mjs.

#include <zoqat/core/executor.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/nn/generate.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/text/open_tokenizer.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::testing {

/// The logarithm of the probability of every token but the first.
template <class Model>
std::vector<double> log_probabilities(Model& model, std::span<const std::uint32_t> tokens) {
  nn::token_batch batch;
  batch.add(tokens);
  std::vector<nn::scored_token> scored;
  for (std::size_t i = 1; i < tokens.size(); ++i) scored.push_back({i - 1, tokens[i]});
  constexpr inference_lane lane;
  sequential threads;
  nn::workspace work;
  const nn::forward_pass<simd::default_kernels, inference_lane, sequential> pass{lane, threads, batch, work};
  const matrix<double> losses = nn::token_losses(model, pass, scored);
  std::vector<double> result;
  for (const double loss : losses.row(0)) result.push_back(-loss);
  return result;
}

/// What a model says after a prompt, always the most likely token.
template <class Model>
std::vector<nn::token> greedy(Model& model, std::span<const nn::token> prompt, std::size_t count,
                              const text::any_tokenizer& tokenizer) {
  sequential threads;
  nn::generator generate(model, threads);
  rng::engine random({.seed = 0, .use = rng::purpose::sampling});
  const auto ends = [&](nn::token t) { return t == tokenizer.bos() || t == tokenizer.eos(); };
  return generate(prompt, count, {}, random, ends, [](nn::token) {});
}

/// Prints, a line each, the tokens of every document, of the first chunks of 256 tokens the logarithm of every
/// token's probability, and how some prompts go on.
template <class Model>
void print_scores(Model& model, const char* tokenizer_path, const char* text_path, std::size_t chunks) {
  const text::any_tokenizer tokenizer = text::open_tokenizer(tokenizer_path);
  const std::string text = io::read_text(text_path);
  const auto print = [](const io::json& line) { fmt::print("{}\n", line.dump()); };
  const std::vector<std::string_view> documents = eval::split_documents(text, {.min_characters = 0});
  for (const std::string_view document : documents)
    print({{"document", document}, {"tokens", tokenizer.encode(document, true)}});
  const std::size_t length = std::min<std::size_t>(256, model.shape().positions);
  const eval::chunks corpus =
      eval::chunk_documents(documents, length, [&](auto document) { return tokenizer.encode(document, true); });
  for (std::size_t i = 0; i != std::min(chunks, corpus.size()); ++i)
    print({{"chunk", corpus[i]}, {"log_probabilities", log_probabilities(model, corpus[i])}});
  constexpr std::size_t count = 48;
  for (const std::string_view prompt : {"Once upon a time", "The little girl", "Tom said", "One day, a dog"})
    print({{"prompt", prompt},
           {"count", count},
           {"greedy", greedy(model, tokenizer.encode(prompt, true), count, tokenizer)}});
}

}  // namespace zoqat::testing

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/load.hpp>             // load
#include <zoqat/io/quantized_model.hpp>  // load_quantized
#include <zoqat/nn/generate.hpp>         // generator
#include <zoqat/random/stream.hpp>       // engine

#include <zeroqat/scheme.hpp>
#include <zeroqat/workbench.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <type_traits>
#include <utility>

namespace zoqat::programs {

/// The base model at `s.model`, or the trained one of a quantized scheme.
template <class Scheme>
nn::llama<Scheme> load_model(const settings& s) {
  if constexpr (std::is_same_v<Scheme, quant::full_precision>)
    return io::load<teacher_model>(open_base_model(s.model));
  else
    return io::load_quantized<nn::llama<Scheme>>(open_trained_model(s.model));
}

template <class Scheme>
void evaluate_model(const settings& s) {
  auto model = load_model<Scheme>(s);
  thread_pool threads(s.threads);
  nn::workspace work;
  const text::llama2c_tokenizer tokenizer = open_tokenizer(s, model.shape().vocabulary);
  const eval::chunks corpus = read_corpus(s.eval, tokenizer, std::min(s.length, model.shape().positions));
  const nn::token_loss loss = eval::cross_entropy(model, corpus, threads, work);
  fmt::print("perplexity {:.4f}  loss {:.17g}  tokens {}  weight bytes {}\n", std::exp(loss.mean()), loss.mean(),
             loss.tokens, model.weight_bytes());
}

template <class Scheme>
void generate_text(const settings& s) {
  auto model = load_model<Scheme>(s);
  thread_pool threads(s.threads);
  const text::llama2c_tokenizer tokenizer = open_tokenizer(s, model.shape().vocabulary);
  nn::generator generate(model, threads);
  rng::engine random({.seed = s.seed, .use = rng::purpose::sampling});
  const auto prompt = tokenizer.encode(s.prompt, true);
  fmt::print("{}", tokenizer.decode(prompt));
  generate(
      prompt, s.count, {s.temperature, s.top_p}, random,
      [&](nn::token t) { return t == tokenizer.bos() || t == tokenizer.eos(); },
      [&, previous = prompt.back()](nn::token t) mutable {
        fmt::print("{}", tokenizer.decode(std::exchange(previous, t), t));
        std::fflush(stdout);
      });
  fmt::print("\n");
}

}  // namespace zoqat::programs

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

// Small models of random weights, and passes through them. Every number follows from the `name` it is asked by.

namespace zoqat::testing {

/// Uniform in [-scale, scale).
inline std::vector<float> random_floats(std::size_t n, std::uint32_t name, float scale = 1) {
  rng::engine draw({.seed = 40, .tensor = name, .use = rng::purpose::data});
  std::vector<float> values(n);
  for (float& x : values) x = (2 * draw.uniform() - 1) * scale;
  return values;
}
inline matrix<float> random_matrix(std::size_t rows, std::size_t cols, std::uint32_t name, float scale = 1) {
  matrix<float> m(rows, cols);
  std::ranges::copy(random_floats(m.size(), name, scale), m.data());
  return m;
}
inline std::vector<std::uint32_t> random_tokens(std::size_t n, std::size_t vocabulary, std::uint32_t name) {
  rng::engine draw({.seed = 41, .tensor = name, .use = rng::purpose::data});
  std::vector<std::uint32_t> tokens(n);
  for (auto& t : tokens) t = draw.below(static_cast<std::uint32_t>(vocabulary));
  return tokens;
}

/// No size divides another or is one of a vector; the heads are wider together than the stream.
inline model_shape odd_shape(rope_pairing rope = rope_pairing::half_split, bool tied = true) {
  return {.hidden = 21,
          .intermediate = 35,
          .layers = 2,
          .heads = 6,
          .kv_heads = 2,
          .head_size = 4,
          .vocabulary = 37,
          .positions = 80,
          .norm_epsilon = 1e-5f,
          .rope_theta = 1e3f,
          .rope = rope,
          .tied_head = tied};
}

/// Weights that keep the size of activations, and norms around 1; the same under every scheme.
template <class Model>
void fill_randomly(Model& model, std::uint32_t name = 0) {
  std::uint32_t tensor = 1000 * name;  // not the id, which depends on what the scheme adds
  nn::for_each_base_tensor(model, [&](auto& t) {
    const bool norm = t.rows() == 1;
    const float scale = norm ? 0.3f : std::sqrt(3.0f / static_cast<float>(t.cols()));
    std::ranges::copy(random_floats(t.values().size(), tensor++, scale), t.values().data());
    if (norm)
      for (float& x : t.values().flat()) x += 1;
  });
}
template <class Model>
[[nodiscard]] Model random_model(const model_shape& shape, std::uint32_t name = 0) {
  Model model(shape);
  fill_randomly(model, name);
  return model;
}

/// Moves everything that can train by up to `scale`.
template <class Store>
void shake(Store& parameters, float scale, std::uint32_t name = 500) {
  parameters.for_each_parameter([&](const parameter& p) {
    const auto change = random_floats(p.values.size(), name + p.id, scale);
    for (std::size_t i = 0; i != change.size(); ++i) p.values[i] += change[i];
  });
}

/// Sequences of the given lengths.
inline nn::token_batch random_batch(std::span<const std::size_t> lengths, std::size_t vocabulary,
                                    std::uint32_t name) {
  nn::token_batch batch;
  for (const std::size_t length : lengths) batch.add(random_tokens(length, vocabulary, name++));
  return batch;
}

inline constexpr inference_lane at_masters{};

/// Losses of all lanes by cross-entropy.
template <class Model, lane_reader Lanes = inference_lane, executor Executor>
[[nodiscard]] std::vector<nn::token_loss> losses_of(Model& model, const nn::token_batch& batch, Executor& threads,
                                                    const Lanes& lanes = at_masters) {
  nn::workspace work;
  const nn::forward_pass<simd::default_kernels, Lanes, Executor> pass{lanes, threads, batch, work};
  std::vector<nn::token_loss> losses(lanes.count());
  nn::cross_entropy(model, pass, std::span(losses));
  return losses;
}

/// A copy of a model whose parameters are what a lane reads of them.
template <class Model, lane_reader Lanes>
[[nodiscard]] Model moved_to_lane(Model model, const Lanes& lanes, std::size_t lane) {
  std::vector<float> values;
  model.for_each_parameter([&](const parameter& p) {
    values.resize(lanes.count() * p.size());
    lanes.read(p, 0, p.size(), values.data());
    std::copy_n(values.data() + lane * p.size(), p.size(), p.values.data());
  });
  return model;
}

/// Logits after every token: [tokens, vocabulary].
template <class Model>
[[nodiscard]] matrix<float> logits_of(Model& model, const nn::token_batch& batch) {
  nn::workspace work;
  sequential here;
  const nn::forward_pass<simd::default_kernels, inference_lane, sequential> pass{at_masters, here, batch, work};
  model.forward(pass);
  matrix<float> logits(batch.tokens(), model.shape().vocabulary);
  std::vector<std::size_t> tokens(batch.tokens());
  std::iota(tokens.begin(), tokens.end(), std::size_t{0});
  model.logits(pass, tokens, logits);
  return logits;
}

/// How far a model's logits are at most from what `expected.logits(tokens)` says of every sequence of a batch.
template <class Model, class Reference>
[[nodiscard]] double largest_difference(Model& model, const Reference& expected, const nn::token_batch& batch) {
  const matrix<float> logits = logits_of(model, batch);
  double largest = 0;
  for (std::size_t s = 0; s != batch.sequences(); ++s) {
    std::vector<nn::token> tokens;
    for (std::size_t i = 0; i != batch.length(s); ++i) tokens.push_back(batch[batch.start(s) + i]);
    const auto wanted = expected.logits(tokens);
    for (std::size_t i = 0; i != tokens.size(); ++i)
      for (std::size_t v = 0; v != wanted[i].size(); ++v)
        largest = std::max(largest, std::abs(wanted[i][v] - double{logits(batch.start(s) + i, v)}));
  }
  return largest;
}

/// The bits of everything that can train.
template <class Store>
[[nodiscard]] std::vector<std::uint32_t> bits_of(Store& parameters) {
  std::vector<std::uint32_t> bits;
  parameters.for_each_parameter([&](const parameter& p) {
    const auto at = bits.size();
    bits.resize(at + p.values.size());
    if (!p.values.empty()) std::memcpy(bits.data() + at, p.values.data(), p.values.size_bytes());
  });
  return bits;
}

}  // namespace zoqat::testing

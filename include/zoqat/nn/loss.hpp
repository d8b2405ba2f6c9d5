// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/pass.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::nn {

/// A sum over scored tokens and how many there were.
struct token_loss {
  double sum = 0;
  std::size_t tokens = 0;
  [[nodiscard]] double mean() const noexcept { return tokens == 0 ? 0 : sum / static_cast<double>(tokens); }
};

namespace detail {

/// Runs the model and reduces `value(row, logits)` over the scored rows of each lane, in double and in a fixed order.
template <class Model, class Pass, class Value>
void reduce_scored(Model& model, const Pass& pass, std::span<token_loss> losses, Value&& value) {
  model.forward(pass);
  std::vector<float> of_row(pass.rows(), 0.0f);
  const auto scored = [&](std::size_t row) { return pass.batch.target(row % pass.tokens()) != not_scored; };
  model.for_each_logits(pass, scored, [&](std::size_t row, std::span<float> logits) { of_row[row] = value(row, logits); });
  for (std::size_t lane = 0; lane != losses.size(); ++lane) {
    losses[lane] = {};
    for (std::size_t i = 0; i != pass.tokens(); ++i)
      if (scored(i)) losses[lane].sum += of_row[lane * pass.tokens() + i], ++losses[lane].tokens;
  }
}

}  // namespace detail

/// −log p(target) summed over the scored tokens of the batch, for each lane. `losses` has one place per lane. Throws
/// value_error for a target outside the vocabulary.
template <class Model, class Pass>
void cross_entropy(Model& model, const Pass& pass, std::span<token_loss> losses) {
  const auto vocabulary = static_cast<std::int64_t>(model.shape().vocabulary);
  for (std::size_t i = 0; i != pass.tokens(); ++i)
    require(pass.batch.target(i) < vocabulary, "cross_entropy: target {} is outside the vocabulary of {}",
            pass.batch.target(i), vocabulary);
  detail::reduce_scored(model, pass, losses, [&](std::size_t row, std::span<float> logits) {
    const auto target = static_cast<std::size_t>(pass.batch.target(row % pass.tokens()));
    return Pass::kernels::log_sum_exp(logits.data(), logits.size()) - logits[target];
  });
}

/// log p of the whole vocabulary at every scored token of a batch: [scored tokens, vocabulary].
/// What a teacher hands to `distillation`.
struct teacher_scores {
  matrix<float> log_probability;
  std::vector<std::size_t> row_of_token;  ///< row in `log_probability` of each token of the batch
};

template <class Model, class Pass>
[[nodiscard]] teacher_scores score(Model& teacher, const Pass& pass) {
  teacher_scores scores;
  std::size_t rows = 0;
  for (std::size_t i = 0; i != pass.tokens(); ++i)
    scores.row_of_token.push_back(pass.batch.target(i) == not_scored ? 0 : rows++);
  scores.log_probability.reshape(rows, teacher.shape().vocabulary);
  teacher.forward(pass);
  const auto scored = [&](std::size_t row) { return pass.batch.target(row) != not_scored; };
  teacher.for_each_logits(pass, scored, [&](std::size_t row, std::span<float> logits) {
    const float normalizer = Pass::kernels::log_sum_exp(logits.data(), logits.size());
    std::ranges::transform(logits, scores.log_probability.row(scores.row_of_token[row]).begin(),
                           [&](float x) { return x - normalizer; });
  });
  return scores;
}

/// KL(teacher ‖ model) summed over the scored tokens, for each lane: what is left to learn from the full-precision
/// model. Near the teacher its value hardly depends on the text, so an antithetic pair measures the weights and not
/// the batch.
template <class Model, class Pass>
void distillation(Model& model, const Pass& pass, const teacher_scores& teacher, std::span<token_loss> losses) {
  detail::reduce_scored(model, pass, losses, [&](std::size_t row, std::span<float> logits) {
    const auto expected = teacher.log_probability.row(teacher.row_of_token[row % pass.tokens()]);
    const float normalizer = Pass::kernels::log_sum_exp(logits.data(), logits.size());
    thread_local buffer<float> p, difference;
    p.assign(expected.begin(), expected.end());
    Pass::kernels::softmax(p.data(), p.size());
    difference.resize(p.size());
    for (std::size_t v = 0; v != p.size(); ++v) difference[v] = expected[v] - (logits[v] - normalizer);
    return Pass::kernels::dot(p.data(), difference.data(), p.size());
  });
}

}  // namespace zoqat::nn

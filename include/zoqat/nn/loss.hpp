// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/head.hpp>
#include <zoqat/nn/pass.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
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

/// log Σ exp of everything, from that of its parts; of a single part that part itself, bit by bit.
[[nodiscard]] inline double join_log_sum_exp(std::span<const float> parts) {
  const double top = double{*std::ranges::max_element(parts)};
  double total = 0;
  for (const float part : parts) total += std::exp(double{part} - top);
  return top + std::log(total);
}

/// The tokens of a batch that are scored, as indices into it.
[[nodiscard]] inline std::vector<std::size_t> scored_tokens(const token_batch& batch) {
  std::vector<std::size_t> tokens;
  for (std::size_t i = 0; i != batch.tokens(); ++i)
    if (batch.target(i) != not_scored) tokens.push_back(i);
  return tokens;
}

/// Runs the model, shows every tile of the scored rows' logits to `observe(tile)`, in parallel, and then sums
/// `value(row, log Σ exp of its logits)` over the rows of each lane. Rows count the scored tokens, lane after lane.
/// Slices are joined and rows added in a fixed order, in double: no loss depends on the threads.
template <class Model, class Pass, class Observe, class Value>
void reduce_scored(Model& model, const Pass& pass, std::span<token_loss> losses, Observe&& observe, Value&& value) {
  using kernels = typename Pass::kernels;
  model.forward(pass);
  const std::vector<std::size_t> tokens = scored_tokens(pass.batch);
  matrix<float> normalizers(pass.lanes.count() * tokens.size(), vocabulary_slices(model.shape().vocabulary));
  model.for_each_logit_tile(pass, tokens, [&](const logit_tile& tile) {
    for (std::size_t i = 0; i != tile.logits.rows(); ++i)
      normalizers(tile.first_row + i, tile.slice) =
          kernels::log_sum_exp(tile.logits.row(i).data(), tile.logits.cols());
    observe(tile);
  });
  for (std::size_t lane = 0; lane != losses.size(); ++lane) {
    losses[lane] = {.sum = 0, .tokens = tokens.size()};
    for (std::size_t row = lane * tokens.size(); row != (lane + 1) * tokens.size(); ++row)
      losses[lane].sum += value(row, join_log_sum_exp(normalizers.row(row)));
  }
}

/// Σ p x over one slice of the vocabulary.
template <simd::kernels Kernels>
[[nodiscard]] float slice_mean(std::span<const float> p, const float* x, std::size_t slice) {
  const std::size_t first = slice * vocabulary_slice;
  return Kernels::dot(p.data() + first, x, std::min(vocabulary_slice, p.size() - first));
}
[[nodiscard]] inline double total(std::span<const float> parts) {
  return std::accumulate(parts.begin(), parts.end(), 0.0);
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
  std::vector<std::size_t> targets;
  for (const std::size_t i : detail::scored_tokens(pass.batch))
    targets.push_back(static_cast<std::size_t>(pass.batch.target(i)));
  std::vector<float> chosen(pass.lanes.count() * targets.size());
  detail::reduce_scored(
      model, pass, losses,
      [&](const logit_tile& tile) {
        for (std::size_t i = 0; i != tile.logits.rows(); ++i) {
          const std::size_t row = tile.first_row + i, word = targets[row % targets.size()] - tile.first_word;
          if (word < tile.logits.cols()) chosen[row] = tile.logits(i, word);  // wraps where it lies before the slice
        }
      },
      [&](std::size_t row, double normalizer) { return normalizer - double{chosen[row]}; });
}

/// The probabilities that a teacher gives to the whole vocabulary at every scored token of a batch. What it hands to
/// `distillation`.
struct teacher_scores {
  matrix<float> probability;             ///< [scored tokens, vocabulary]
  std::vector<double> negative_entropy;  ///< Σ p log p of each
};

template <class Model, class Pass>
[[nodiscard]] teacher_scores score(Model& teacher, const Pass& pass) {
  using kernels = typename Pass::kernels;
  const std::vector<std::size_t> tokens = detail::scored_tokens(pass.batch);
  teacher_scores scores{matrix<float>(tokens.size(), teacher.shape().vocabulary), std::vector<double>(tokens.size())};
  teacher.forward(pass);
  teacher.logits(pass, tokens, scores.probability);
  pass.threads.parallel_for(tokens.size(), [&](std::size_t i) {
    const auto p = scores.probability.row(i);
    thread_local buffer<float> logits;
    thread_local std::vector<float> normalizers, means;
    logits.assign(p.begin(), p.end());
    kernels::softmax(p.data(), p.size());
    normalizers.clear(), means.clear();
    for (std::size_t slice = 0; slice != vocabulary_slices(p.size()); ++slice) {
      const std::size_t first = slice * vocabulary_slice;
      const float* const x = logits.data() + first;
      normalizers.push_back(kernels::log_sum_exp(x, std::min(vocabulary_slice, p.size() - first)));
      means.push_back(detail::slice_mean<kernels>(p, x, slice));
    }
    scores.negative_entropy[i] = detail::total(means) - detail::join_log_sum_exp(normalizers);
  });
  return scores;
}

/// KL(teacher ‖ model) = Σ p log p − Σ p x + log Σ exp x over the model's logits x, summed over the scored tokens,
/// for each lane: what is left to learn from the full-precision model. Near the teacher its value hardly depends on
/// the text, so an antithetic pair measures the weights and not the batch. The teacher's terms are made as the
/// model's are: logits equal to the teacher's give exactly 0.
template <class Model, class Pass>
void distillation(Model& model, const Pass& pass, const teacher_scores& teacher, std::span<token_loss> losses) {
  const std::size_t tokens = teacher.probability.rows();
  matrix<float> means(pass.lanes.count() * tokens, vocabulary_slices(teacher.probability.cols()));
  detail::reduce_scored(
      model, pass, losses,
      [&](const logit_tile& tile) {
        for (std::size_t i = 0; i != tile.logits.rows(); ++i) {
          const std::size_t row = tile.first_row + i;
          means(row, tile.slice) = detail::slice_mean<typename Pass::kernels>(
              teacher.probability.row(row % tokens), tile.logits.row(i).data(), tile.slice);
        }
      },
      [&](std::size_t row, double normalizer) {
        return teacher.negative_entropy[row % tokens] - (detail::total(means.row(row)) - normalizer);
      });
}

}  // namespace zoqat::nn

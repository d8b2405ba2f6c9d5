// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/nn/head.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// A sum over scored tokens and how many there were.
struct token_loss {
  double sum = 0;
  std::size_t tokens = 0;
  [[nodiscard]] double mean() const noexcept { return tokens == 0 ? 0 : sum / static_cast<double>(tokens); }
};

/// log Σ exp of values, in double: of logits, or of everything from that of its parts; of a single one that one
/// itself, bit by bit.
[[nodiscard]] inline double log_sum_exp(std::span<const float> values) {
  const double top = double{*std::ranges::max_element(values)};
  double total = 0;
  for (const float value : values) total += std::exp(double{value} - top);
  return top + std::log(total);
}

namespace detail {

/// The tokens of a batch that are scored, as indices into it.
[[nodiscard]] inline std::vector<std::size_t> scored_tokens(const token_batch& batch) {
  std::vector<std::size_t> tokens;
  for (std::size_t i = 0; i != batch.tokens(); ++i)
    if (batch.target(i) != not_scored) tokens.push_back(i);
  return tokens;
}

/// Runs the model, shows every tile of the logits after `tokens` to `observe(tile)`, in parallel, and returns
/// `value(row, log Σ exp of its logits)` of each row: [lanes, tokens]. Rows count `tokens`, lane after lane. Slices
/// are joined in a fixed order, in double: no value depends on the threads.
template <language_model Model, class Pass, class Observe, class Value>
[[nodiscard]] matrix<double> reduce_logits(Model& model, const Pass& pass, std::span<const std::size_t> tokens,
                                           Observe&& observe, Value&& value) {
  using kernels = typename Pass::kernels;
  model.forward(pass);
  matrix<float> normalizers(pass.lanes.count() * tokens.size(), vocabulary_slices(model.shape().vocabulary));
  model.for_each_logit_tile(pass, tokens, [&](const logit_tile& tile) {
    for (std::size_t i = 0; i != tile.logits.rows(); ++i)
      normalizers(tile.first_row + i, tile.slice) =
          kernels::log_sum_exp(tile.logits.row(i).data(), tile.logits.cols());
    observe(tile);
  });
  matrix<double> values(pass.lanes.count(), tokens.size());
  for (std::size_t row = 0; row != normalizers.rows(); ++row)
    values.data()[row] = value(row, log_sum_exp(normalizers.row(row)));
  return values;
}

/// Sums the values [lanes, tokens] of each lane in their order, in double.
inline void sum_lanes(const matrix<double>& values, std::span<token_loss> losses) {
  for (std::size_t lane = 0; lane != losses.size(); ++lane) {
    losses[lane] = {.sum = 0, .tokens = values.cols()};
    for (const double value : values.row(lane)) losses[lane].sum += value;
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

/// A token of a batch, and one that may follow it.
struct scored_token {
  std::size_t index;  ///< into the batch
  token target;
};

/// −log p(target) of each of `scored`, for each lane: [lanes, scored]. The batch's own targets do not count, and one
/// token may be asked about several targets. Throws value_error for a target outside the vocabulary.
template <language_model Model, class Pass>
[[nodiscard]] matrix<double> token_losses(Model& model, const Pass& pass, std::span<const scored_token> scored) {
  std::vector<std::size_t> tokens;
  for (const auto& [index, target] : scored) {
    require(target < model.shape().vocabulary, "token_losses: target {} is outside the vocabulary of {}", target,
            model.shape().vocabulary);
    tokens.push_back(index);
  }
  std::vector<float> chosen(pass.lanes.count() * scored.size());
  return detail::reduce_logits(
      model, pass, tokens,
      [&](const logit_tile& tile) {
        for (std::size_t i = 0; i != tile.logits.rows(); ++i) {
          const std::size_t row = tile.first_row + i, word = scored[row % scored.size()].target - tile.first_word;
          if (word < tile.logits.cols()) chosen[row] = tile.logits(i, word);  // wraps where it lies before the slice
        }
      },
      [&](std::size_t row, double normalizer) { return normalizer - double{chosen[row]}; });
}

/// −log p(target) summed over the scored tokens of the batch, for each lane. `losses` has one place per lane. Throws
/// value_error for a target outside the vocabulary.
template <language_model Model, class Pass>
void cross_entropy(Model& model, const Pass& pass, std::span<token_loss> losses) {
  std::vector<scored_token> scored;
  for (const std::size_t i : detail::scored_tokens(pass.batch)) {
    const std::int64_t target = pass.batch.target(i);
    require(target <= std::int64_t{std::numeric_limits<token>::max()}, "cross_entropy: target {} is no token",
            target);
    scored.push_back({i, static_cast<token>(target)});
  }
  detail::sum_lanes(token_losses(model, pass, scored), losses);
}

/// The probabilities that a teacher gives to the whole vocabulary at every scored token of a batch. What it hands to
/// `distillation`.
struct teacher_scores {
  matrix<float> probability;             ///< [scored tokens, vocabulary]
  std::vector<double> negative_entropy;  ///< Σ p log p of each
};

template <language_model Model, class Pass>
[[nodiscard]] teacher_scores teacher_probabilities(Model& teacher, const Pass& pass) {
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
    scores.negative_entropy[i] = detail::total(means) - log_sum_exp(normalizers);
  });
  return scores;
}

/// KL(teacher ‖ model) = Σ p log p − Σ p x + log Σ exp x over the model's logits x, summed over the scored tokens,
/// for each lane: what is left to learn from the full-precision model. Near the teacher its value hardly depends on
/// the text, so an antithetic pair measures the weights and not the batch. The teacher's terms are made as the
/// model's are: logits equal to the teacher's give exactly 0.
template <language_model Model, class Pass>
void distillation(Model& model, const Pass& pass, const teacher_scores& teacher, std::span<token_loss> losses) {
  const std::size_t tokens = teacher.probability.rows();
  matrix<float> means(pass.lanes.count() * tokens, vocabulary_slices(teacher.probability.cols()));
  const matrix<double> values = detail::reduce_logits(
      model, pass, detail::scored_tokens(pass.batch),
      [&](const logit_tile& tile) {
        for (std::size_t i = 0; i != tile.logits.rows(); ++i) {
          const std::size_t row = tile.first_row + i;
          means(row, tile.slice) = detail::slice_mean<typename Pass::kernels>(teacher.probability.row(row % tokens),
                                                                              tile.logits.row(i).data(), tile.slice);
        }
      },
      [&](std::size_t row, double normalizer) {
        return teacher.negative_entropy[row % tokens] - (detail::total(means.row(row)) - normalizer);
      });
  detail::sum_lanes(values, losses);
}

}  // namespace zoqat::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// How a model's prediction of one token differs from that of a reference.
struct token_divergence {
  double loss, reference_loss;    ///< −log p of the token that follows
  double divergence;              ///< KL(reference ‖ model) over the vocabulary
  double probability_difference;  ///< p(token that follows) of the model less that of the reference
  bool same_top;                  ///< whether both find the same token most likely
};

/// A figure and its standard error.
struct estimate_of_mean {
  double value = 0, uncertainty = 0;
};

/// All that llama-perplexity --kl-divergence prints of such tokens, with its formulas.
struct divergence_summary {
  std::size_t tokens = 0;
  estimate_of_mean perplexity, reference_perplexity;
  double correlation = 0;                         ///< of the logarithms of both
  estimate_of_mean log_ratio, ratio, difference;  ///< of the two perplexities
  estimate_of_mean divergence;
  estimate_of_mean probability_difference, probability_difference_rms;
  estimate_of_mean same_top;                                 ///< the share of tokens
  std::vector<double> divergences, probability_differences;  ///< of all tokens, ascending
};

namespace detail {

/// The mean of f over the tokens.
template <class F>
[[nodiscard]] double mean_of(std::span<const token_divergence> tokens, F&& f) {
  double sum = 0;
  for (const token_divergence& t : tokens) sum += f(t);
  return sum / static_cast<double>(tokens.size());
}
/// The mean of f, and what chance moves it by.
template <class F>
[[nodiscard]] estimate_of_mean estimate(std::span<const token_divergence> tokens, F&& f) {
  const double mean = mean_of(tokens, f);
  const double variance = mean_of(tokens, [&](const token_divergence& t) { return (f(t) - mean) * (f(t) - mean); });
  return {mean, std::sqrt(variance / static_cast<double>(tokens.size() - 1))};
}

/// The perplexities of both models and how far they are apart; the two vary together.
inline void summarize_perplexity(std::span<const token_divergence> tokens, divergence_summary& to) {
  const auto own = estimate(tokens, [](const token_divergence& t) { return t.loss; });
  const auto reference = estimate(tokens, [](const token_divergence& t) { return t.reference_loss; });
  const double covariance = mean_of(tokens,
                                    [&](const token_divergence& t) {
                                      return (t.loss - own.value) * (t.reference_loss - reference.value);
                                    }) /
                            static_cast<double>(tokens.size() - 1);
  const auto error_of_difference = [](double a, double b, double both) {
    return std::sqrt(std::max(a * a + b * b - 2 * both, 0.0));
  };
  const double p = std::exp(own.value), q = std::exp(reference.value), ratio = p / q;
  to.perplexity = {p, p * own.uncertainty};
  to.reference_perplexity = {q, q * reference.uncertainty};
  const double errors = own.uncertainty * reference.uncertainty;
  to.correlation = errors > 0 ? covariance / errors : 0;
  to.log_ratio = {own.value - reference.value,
                  error_of_difference(own.uncertainty, reference.uncertainty, covariance)};
  to.ratio = {ratio, ratio * to.log_ratio.uncertainty};
  to.difference = {
      p - q, error_of_difference(to.perplexity.uncertainty, to.reference_perplexity.uncertainty, p * q * covariance)};
}

}  // namespace detail

/// Compares the logits of a model after a token with those of a reference; `next` is the token that follows. In
/// double; equal logits have a divergence of exactly 0.
[[nodiscard]] inline token_divergence compare_logits(std::span<const float> logits, std::span<const float> reference,
                                                     nn::token next) {
  const double own = nn::log_sum_exp(logits), of_reference = nn::log_sum_exp(reference);
  const auto log_p = [&](std::size_t i) { return double{logits[i]} - own; };
  const auto reference_log_p = [&](std::size_t i) { return double{reference[i]} - of_reference; };
  double divergence = 0;
  for (std::size_t i = 0; i != logits.size(); ++i)
    divergence += std::exp(reference_log_p(i)) * (reference_log_p(i) - log_p(i));
  return {.loss = -log_p(next),
          .reference_loss = -reference_log_p(next),
          .divergence = divergence,
          .probability_difference = std::exp(log_p(next)) - std::exp(reference_log_p(next)),
          .same_top = std::ranges::max_element(logits) - logits.begin() ==
                      std::ranges::max_element(reference) - reference.begin()};
}

/// A model's logits after every token of a chunk but the last: [length − 1, vocabulary].
template <simd::kernels Kernels = simd::default_kernels, nn::language_model Model, executor Executor>
[[nodiscard]] matrix<float> chunk_logits(Model& model, const std::vector<std::uint32_t>& chunk, Executor& threads,
                                         nn::workspace& work) {
  nn::token_batch batch;
  batch.add(std::span(chunk).first(chunk.size() - 1));
  std::vector<std::size_t> all(batch.tokens());
  std::iota(all.begin(), all.end(), std::size_t{0});
  constexpr inference_lane lane;
  const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, threads, batch, work};
  matrix<float> logits(all.size(), model.shape().vocabulary);
  model.forward(pass);
  model.logits(pass, all, logits);
  return logits;
}

/// Compares a model with a reference after every token of a corpus but the last of each chunk. Costs a forward pass
/// of both over the corpus; memory is the logits of both for one chunk. Throws value_error for vocabularies of
/// different sizes and for chunks of a single token.
template <nn::language_model Model, nn::language_model Reference, executor Executor>
[[nodiscard]] std::vector<token_divergence> token_divergences(Model& model, Reference& reference,
                                                              const chunks& corpus, Executor& threads,
                                                              nn::workspace& work) {
  require(
      model.shape().vocabulary == reference.shape().vocabulary,
      "divergence: the model has a vocabulary of {}, the reference of {}, so their predictions cannot be compared",
      model.shape().vocabulary, reference.shape().vocabulary);
  std::vector<token_divergence> all;
  for (const auto& chunk : corpus) {
    require(chunk.size() > 1, "divergence: a chunk of a single token predicts nothing");
    const matrix<float> of_reference = chunk_logits(reference, chunk, threads, work);
    const matrix<float> own = chunk_logits(model, chunk, threads, work);
    const std::size_t first = all.size();
    all.resize(first + own.rows());
    threads.parallel_for(own.rows(), [&](std::size_t i) {
      all[first + i] = compare_logits(own.row(i), of_reference.row(i), chunk[i + 1]);
    });
  }
  return all;
}

/// A value below which the part `fraction` of sorted values lies, between two of them in proportion.
[[nodiscard]] inline double percentile(std::span<const double> ascending, double fraction) {
  require(!ascending.empty(), "percentile: there are no values");
  const double at = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const double part = at - static_cast<double>(below);
  return (1 - part) * ascending[below] + part * ascending[std::min(below + 1, ascending.size() - 1)];
}

/// Throws value_error for fewer than two tokens, of which nothing can be said.
[[nodiscard]] inline divergence_summary summarize(std::span<const token_divergence> tokens) {
  require(tokens.size() > 1, "divergence: {} tokens are too few for statistics", tokens.size());
  divergence_summary all;
  all.tokens = tokens.size();
  detail::summarize_perplexity(tokens, all);
  all.divergence = detail::estimate(tokens, [](const token_divergence& t) { return t.divergence; });
  const auto difference = [](const token_divergence& t) { return t.probability_difference; };
  all.probability_difference = detail::estimate(tokens, difference);
  const auto square =
      detail::estimate(tokens, [&](const token_divergence& t) { return difference(t) * difference(t); });
  const double rms = std::sqrt(square.value);
  all.probability_difference_rms = {rms, rms > 0 ? square.uncertainty / (2 * rms) : 0};
  all.same_top = detail::estimate(tokens, [](const token_divergence& t) { return t.same_top ? 1.0 : 0.0; });
  for (const token_divergence& t : tokens) {
    all.divergences.push_back(t.divergence);
    all.probability_differences.push_back(t.probability_difference);
  }
  std::ranges::sort(all.divergences);
  std::ranges::sort(all.probability_differences);
  return all;
}

}  // namespace zoqat::eval

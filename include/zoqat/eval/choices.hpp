// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/eval/encoded.hpp>
#include <zoqat/eval/score.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/inference_lane.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// All candidates of the items, one after the other.
[[nodiscard]] inline std::vector<const continuation*> all_candidates(std::span<const encoded_item> items) {
  std::vector<const continuation*> texts;
  for (const encoded_item& item : items)
    for (const continuation& candidate : item.candidates) texts.push_back(&candidate);
  return texts;
}

/// The scores of each item's candidates: the mean log-probability of a candidate's tokens after the prompt, as MeZO
/// (arXiv 2305.17333) scores them. Cost: a pass over all candidates with their prompts, in parts; see
/// `continuation_losses`.
template <simd::kernels Kernels = simd::default_kernels, nn::language_model Model, executor Executor>
[[nodiscard]] std::vector<std::vector<double>> candidate_scores(Model& model, std::span<const encoded_item> items,
                                                                Executor& threads, nn::workspace& work,
                                                                std::size_t part_tokens = default_part_tokens) {
  const auto texts = all_candidates(items);
  const matrix<double> losses =
      continuation_losses<Kernels>(model, inference_lane{}, texts, part_tokens, threads, work);
  std::vector<std::vector<double>> scores;
  std::size_t next = 0;
  for (const encoded_item& item : items) {
    scores.emplace_back();
    for (const continuation& candidate : item.candidates)
      scores.back().push_back(-losses(0, next++) / static_cast<double>(candidate.scored()));
  }
  return scores;
}

/// The part of the items whose correct candidate has the highest score, the first of equals counting. Throws
/// value_error for no items at all.
template <simd::kernels Kernels = simd::default_kernels, nn::language_model Model, executor Executor>
[[nodiscard]] double accuracy(Model& model, std::span<const encoded_item> items, Executor& threads,
                              nn::workspace& work, std::size_t part_tokens = default_part_tokens) {
  require(!items.empty(), "accuracy: there are no items");
  const auto scores = candidate_scores<Kernels>(model, items, threads, work, part_tokens);
  std::size_t correct = 0;
  for (std::size_t i = 0; i != items.size(); ++i) {
    const auto best = std::ranges::max_element(scores[i]) - scores[i].begin();
    correct += static_cast<std::size_t>(best) == items[i].correct;
  }
  return static_cast<double>(correct) / static_cast<double>(items.size());
}

}  // namespace zoqat::eval

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/eval/encoded.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/params/lanes.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

namespace detail {

/// Texts that go through a model together: what it reads, and which tokens of which text are scored.
struct scoring_part {
  nn::token_batch batch;
  std::vector<nn::scored_token> scored;
  std::vector<std::size_t> text;  ///< of each scored token

  /// Appends a sequence that holds what is read for each of the texts [first, last).
  void add(std::span<const nn::token> sequence, std::span<const continuation* const> texts, std::size_t first,
           std::size_t last) {
    const std::size_t start = batch.tokens();
    batch.add(sequence, std::vector<std::int64_t>(sequence.size(), nn::not_scored));
    for (; first != last; ++first)
      for (std::size_t i = texts[first]->given; i != texts[first]->tokens.size(); ++i) {
        scored.push_back({start + i - 1, texts[first]->tokens[i]});
        text.push_back(first);
      }
  }
};

/// The end of the texts from `first` on that can be scored in one sequence, and this sequence: what is read for one
/// of them begins with what is read for any other.
[[nodiscard]] inline std::pair<std::size_t, std::span<const nn::token>> shared_sequence(
    std::span<const continuation* const> texts, std::size_t first) {
  std::span<const nn::token> longest = texts[first]->read();
  for (std::size_t next = first + 1; next != texts.size(); ++next) {
    const auto read = texts[next]->read();
    const std::size_t common = std::min(read.size(), longest.size());
    if (!std::ranges::equal(read.first(common), longest.first(common))) return {next, longest};
    if (read.size() > longest.size()) longest = read;
  }
  return {texts.size(), longest};
}

}  // namespace detail

/// Tokens that go through a model in one pass of scoring unless a program says otherwise.
inline constexpr std::size_t default_part_tokens = 2048;

/// −log p of each text's continuation, summed over its tokens in double, for each lane: [lanes, texts]. Texts go
/// through the model in parts of at most `part_tokens` tokens, or one sequence where it alone is longer, so that
/// memory (lanes times tokens of activations) does not follow the number of texts. How they fall into parts changes
/// their values by the rounding of floats only, and that of all lanes alike.
///
/// Neighbors of which one reads what the other reads first, such as candidates of a single token after one prompt,
/// share a sequence. Others recompute their common prompt.
template <simd::kernels Kernels = simd::default_kernels, nn::language_model Model, lane_reader Lanes,
          executor Executor>
[[nodiscard]] matrix<double> continuation_losses(Model& model, const Lanes& lanes,
                                                 std::span<const continuation* const> texts, std::size_t part_tokens,
                                                 Executor& threads, nn::workspace& work) {
  matrix<double> losses(lanes.count(), texts.size(), 0.0);
  detail::scoring_part part;
  const auto run = [&] {
    if (part.batch.tokens() == 0) return;
    const nn::forward_pass<Kernels, Lanes, Executor> pass{lanes, threads, part.batch, work};
    const matrix<double> of_token = nn::token_losses(model, pass, part.scored);
    for (std::size_t lane = 0; lane != losses.rows(); ++lane)
      for (std::size_t i = 0; i != part.text.size(); ++i) losses(lane, part.text[i]) += of_token(lane, i);
    part = {};
  };
  for (std::size_t first = 0; first != texts.size();) {
    const auto [last, sequence] = detail::shared_sequence(texts, first);
    if (part.batch.tokens() + sequence.size() > part_tokens) run();
    part.add(sequence, texts, first, last);
    first = last;
  }
  run();
  return losses;
}

}  // namespace zoqat::eval

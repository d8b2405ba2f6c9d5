// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/eval/encoded.hpp>
#include <zoqat/eval/score.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/train/lane_objective.hpp>
#include <zoqat/train/step_data.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

/// What a task's loss compares with.
enum class task_target {
  /// The correct candidate: cross-entropy over the candidates of an item, whose scores are the mean log-probabilities
  /// of their tokens (MeZO's loss for classification); the mean over items.
  candidates,
  /// The correct candidate's tokens: cross-entropy, the mean over all tokens. For answers and instructions.
  tokens,
};

struct task_loss_options {
  std::size_t batch = 16;         ///< items per step
  std::size_t micro_batches = 1;  ///< at most `batch`
  task_target compared_with = task_target::candidates;
  std::size_t part_tokens = eval::default_part_tokens;
  std::uint64_t seed = 0;  ///< of the data order
};

/// The loss of a model on a downstream task as an objective: all lanes of a step go through the model together.
/// `select(step)` draws the step's `batch` items, which are split into micro-batches. A micro-batch goes through the
/// model in parts of at most `part_tokens` tokens, so that memory does not follow the batch. How many that is belongs
/// to what makes a run, since it decides how floats are rounded.
template <nn::language_model Model, executor Executor, simd::kernels Kernels = simd::default_kernels>
class task_loss : public lane_objective<Executor, Kernels> {
 public:
  /// `items` must outlive the objective. Throws value_error for no items, for micro-batches that would be empty, and,
  /// where candidates are compared, for an item with only one.
  task_loss(Model& model, const std::vector<eval::encoded_item>& items, Executor& threads,
            const task_loss_options& how = {})
      : base(threads),
        model_(model),
        items_(items),
        target_(how.compared_with),
        part_tokens_(how.part_tokens),
        data_(items.size(), how.batch, how.micro_batches, how.seed) {
    require(!items.empty(), "task_loss: there are no items");
    for (std::size_t i = 0; i != items.size(); ++i)
      require(target_ == task_target::tokens || items[i].candidates.size() > 1,
              "task_loss: item {} has {} candidates, and nothing to choose from; compare with its tokens", i,
              items[i].candidates.size());
    select(0);
  }

  [[nodiscard]] std::size_t micro_batches() const noexcept { return data_.micro_batches(); }
  /// Draws the data of a step.
  void select(std::uint32_t step) { data_.select(step); }

  template <zo::distribution Distribution>
  void operator()(const zo::lane_points<Distribution>& at, std::size_t micro, std::span<double> losses) {
    const std::span<const std::uint32_t> items = data_.of(micro);
    const auto texts = texts_of(items);
    const matrix<double> of_text = eval::continuation_losses<Kernels>(model_, base::lanes_at(at), texts, part_tokens_,
                                                                      base::threads(), base::work());
    for (std::size_t lane = 0; lane != losses.size(); ++lane)
      losses[lane] = target_ == task_target::tokens ? token_mean(of_text.row(lane), texts)
                                                    : candidate_mean(of_text.row(lane), items);
  }

 private:
  using base = lane_objective<Executor, Kernels>;
  using text_list = std::vector<const eval::continuation*>;

  /// All candidates of the items, or the correct ones alone.
  [[nodiscard]] text_list texts_of(std::span<const std::uint32_t> items) const {
    text_list texts;
    for (const std::uint32_t i : items) {
      if (target_ == task_target::tokens)
        texts.push_back(&items_[i].right());
      else
        for (const eval::continuation& candidate : items_[i].candidates) texts.push_back(&candidate);
    }
    return texts;
  }
  [[nodiscard]] static double token_mean(std::span<const double> losses, const text_list& texts) {
    double sum = 0;
    std::size_t tokens = 0;
    for (std::size_t i = 0; i != texts.size(); ++i) {
      sum += losses[i];
      tokens += texts[i]->scored();
    }
    return sum / static_cast<double>(tokens);
  }
  [[nodiscard]] double candidate_mean(std::span<const double> losses, std::span<const std::uint32_t> items) const {
    double sum = 0;
    for (const std::uint32_t i : items) {
      sum += candidate_loss(losses, items_[i]);
      losses = losses.subspan(items_[i].candidates.size());
    }
    return sum / static_cast<double>(items.size());
  }
  /// −log softmax of the scores at the correct candidate; the item's losses come first in `losses`.
  [[nodiscard]] static double candidate_loss(std::span<const double> losses, const eval::encoded_item& item) {
    const auto score = [&](std::size_t c) { return -losses[c] / static_cast<double>(item.candidates[c].scored()); };
    double top = score(0), total = 0;
    for (std::size_t c = 1; c != item.candidates.size(); ++c) top = std::max(top, score(c));
    for (std::size_t c = 0; c != item.candidates.size(); ++c) total += std::exp(score(c) - top);
    return top + std::log(total) - score(item.correct);
  }

  Model& model_;
  const std::vector<eval::encoded_item>& items_;
  task_target target_;
  std::size_t part_tokens_;
  step_data data_;
};

}  // namespace zoqat::train

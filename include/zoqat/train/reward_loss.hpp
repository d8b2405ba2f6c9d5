// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/eval/answers.hpp>
#include <zoqat/eval/encoded.hpp>
#include <zoqat/eval/score.hpp>
#include <zoqat/eval/token_f1.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/train/lane_objective.hpp>
#include <zoqat/train/step_data.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

/// What is good about an answer of a model, any number; more is better.
template <class F, class Item>
concept reward = requires(F& f, std::string_view answer, const Item& item) {
  { f(answer, item) } -> std::convertible_to<double>;
};

/// Rewards by the best gold of an item: the token F1 of SQuAD, or 1 for the same words.
struct f1_reward {
  template <eval::answered_question Item>
  [[nodiscard]] double operator()(std::string_view answer, const Item& item) const {
    return eval::score_answer(answer, std::span<const std::string>(item.answers)).f1;
  }
};
struct exact_match_reward {
  template <eval::answered_question Item>
  [[nodiscard]] double operator()(std::string_view answer, const Item& item) const {
    return eval::score_answer(answer, std::span<const std::string>(item.answers)).exact;
  }
};

struct reward_loss_options {
  eval::encoding how;      ///< of prompts
  eval::answer_end end{};  ///< of answers; training takes as many passes as the longest answer of a batch has tokens
  std::size_t batch = 16;  ///< items per step
  std::size_t micro_batches = 1;  ///< at most `batch`
  double best = 1;                ///< the reward from which an answer's is subtracted, so that the loss is positive
  std::size_t part_tokens = eval::default_part_tokens;
  std::uint64_t seed = 0;  ///< of the data order
};

/// A score of what a model itself answers as an objective: `best` less the mean reward of its greedy answers. No
/// derivative is asked of it, so it may be anything that judges a text: F1, a test that runs, another model. As MeZO
/// (arXiv 2305.17333, section 4.3) optimizes F1.
///
/// A step generates answers on all its lanes: a pass for each token, over all that is not finished. Texts on which
/// lanes agree, as those of an antithetic pair mostly do, are read once for all of them. There is no cache of keys
/// and values, so an answer of n tokens costs about n times as much as its cross-entropy. Greedy answers change by
/// leaps: the loss is constant between them, and differs only where a perturbation changes a word. It takes more
/// items than cross-entropy to see a direction. Which texts are read together depends on the answers of all lanes,
/// and with it the last bits: many workers may answer a near tie otherwise than one.
template <nn::language_model Model, eval::tokenizer Tokenizer, eval::answered_question Item, class Reward,
          executor Executor, simd::kernels Kernels = simd::default_kernels>
  requires reward<Reward, Item>
class reward_loss : public lane_objective<Executor, Kernels> {
 public:
  /// Model, tokenizer and items must outlive the objective. Throws value_error for no items, for micro-batches that
  /// would be empty, for answers of no tokens, and as `eval::encode_prompt` does.
  reward_loss(Model& model, const Tokenizer& tokenizer, const std::vector<Item>& items, Reward reward,
              Executor& threads, reward_loss_options options)
      : base(threads),
        model_(model),
        tokenizer_(tokenizer),
        items_(items),
        reward_(std::move(reward)),
        options_(std::move(options)),
        data_(items.size(), options_.batch, options_.micro_batches, options_.seed) {
    require(!items.empty(), "reward_loss: there are no items");
    require(options_.end.max_tokens > 0, "reward_loss: answers of at most 0 tokens have nothing to be rewarded for");
    for (const Item& item : items)
      prompts_.push_back(eval::encode_prompt(tokenizer, item.prompt, options_.how, options_.end.max_tokens));
    select(0);
  }

  [[nodiscard]] std::size_t micro_batches() const noexcept { return data_.micro_batches(); }
  /// Draws the data of a step.
  void select(std::uint32_t step) { data_.select(step); }

  template <zo::distribution Distribution>
  void operator()(const zo::lane_points<Distribution>& at, std::size_t micro, std::span<double> losses) {
    const std::span<const std::uint32_t> items = data_.of(micro);
    const auto lanes = base::lanes_at(at);
    std::vector<answer> answers;  // lane after lane, item after item
    for (std::size_t lane = 0; lane != lanes.count(); ++lane)
      for (const std::uint32_t i : items)
        answers.push_back({lane, prompts_[i], eval::open_answer(tokenizer_, options_.end)});
    for (std::size_t token = 0; token != options_.end.max_tokens; ++token)
      if (!extend(lanes, answers)) break;
    for (std::size_t lane = 0; lane != losses.size(); ++lane) {
      double total = 0;
      for (std::size_t i = 0; i != items.size(); ++i)
        total += static_cast<double>(reward_(answers[lane * items.size() + i].said.text(), items_[items[i]]));
      losses[lane] = options_.best - total / static_cast<double>(items.size());
    }
  }

 private:
  using base = lane_objective<Executor, Kernels>;
  /// What a lane answers to an item.
  struct answer {
    std::size_t lane;
    std::vector<nn::token> read;  ///< the prompt and what was said so far
    eval::open_answer<Tokenizer> said;
  };
  /// Answers that go on from the same text.
  using same_text = std::map<std::vector<nn::token>, std::vector<answer*>>;

  /// Lets each answer that is not finished say its next token. False where all are finished.
  template <class Lanes>
  bool extend(const Lanes& lanes, std::vector<answer>& answers) {
    same_text open;
    for (answer& a : answers)
      if (!a.said.ended()) open[a.read].push_back(&a);
    for (auto first = open.begin(); first != open.end();) {
      auto last = first;
      std::size_t tokens = 0;
      for (; last != open.end() && (last == first || tokens + last->first.size() <= options_.part_tokens); ++last)
        tokens += last->first.size();
      extend_part(lanes, first, last);
      first = last;
    }
    return !open.empty();
  }
  template <class Lanes>
  void extend_part(const Lanes& lanes, typename same_text::const_iterator first,
                   typename same_text::const_iterator last) {
    nn::token_batch batch;
    std::vector<std::size_t> ends;
    for (auto text = first; text != last; ++text) {
      batch.add(text->first);
      ends.push_back(batch.tokens() - 1);
    }
    const nn::forward_pass<Kernels, Lanes, Executor> pass{lanes, base::threads(), batch, base::work()};
    logits_.reshape(lanes.count() * ends.size(), model_.shape().vocabulary);
    model_.forward(pass);
    model_.logits(pass, ends, logits_);
    for (std::size_t text = 0; first != last; ++first, ++text)
      for (answer* const a : first->second) {
        const auto row = logits_.row(a->lane * ends.size() + text);
        const auto next = static_cast<nn::token>(std::ranges::max_element(row) - row.begin());
        a->said.say(next);
        a->read.push_back(next);
      }
  }

  Model& model_;
  const Tokenizer& tokenizer_;
  const std::vector<Item>& items_;
  Reward reward_;
  reward_loss_options options_;
  step_data data_;
  std::vector<std::vector<nn::token>> prompts_;
  matrix<float> logits_;
};

}  // namespace zoqat::train

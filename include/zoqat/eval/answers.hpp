// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/eval/encoded.hpp>
#include <zoqat/eval/token_f1.hpp>
#include <zoqat/nn/generate.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// When an answer ends: MeZO's rule.
struct answer_end {
  std::size_t max_tokens = 50;
  std::vector<std::string> texts{
      "\n"};                        ///< the first of these to come, and what follows it, are no part of the answer
  std::vector<nn::token> tokens{};  ///< such as EOS
};

/// Anything with a prompt and the answers that count as right, such as tasks::answer_item.
template <class T>
concept answered_question = requires(const T& item) {
  { item.prompt } -> std::convertible_to<std::string_view>;
  { item.answers } -> std::convertible_to<std::span<const std::string>>;
};

/// An answer that comes token by token. Ids that the tokenizer does not have, as models with more rows than tokens
/// may choose (OPT has seven), stand for no text. The tokenizer must outlive it.
template <tokenizer Tokenizer>
class open_answer {
 public:
  open_answer(const Tokenizer& tokenizer, const answer_end& end) : tokenizer_(&tokenizer), end_(&end) {}

  /// Takes the next token. Looks for the end in the text, since tokenizers have many tokens with a line end in them.
  void say(nn::token next) {
    if (std::ranges::find(end_->tokens, next) != end_->tokens.end()) ended_ = true;
    if (ended_ || next >= tokenizer_->size()) return;
    tokens_.push_back(next);
    text_ = tokenizer_->decode(tokens_);
    std::size_t found = text_.npos;
    for (const std::string& stop : end_->texts) found = std::min(found, text_.find(stop));
    ended_ = found != text_.npos;
    text_.resize(std::min(found, text_.size()));
  }
  /// Whether it ended before it was too long.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }

 private:
  const Tokenizer* tokenizer_;
  const answer_end* end_;
  std::vector<nn::token> tokens_;
  std::string text_;
  bool ended_ = false;
};

/// A model's own answer: the most likely token after the other. The generator forgets what it held.
template <class Generator, tokenizer Tokenizer>
[[nodiscard]] std::string generate_answer(Generator& generate, const Tokenizer& tokenizer,
                                          std::span<const nn::token> prompt, const answer_end& end) {
  generate.reset();
  open_answer<Tokenizer> answer(tokenizer, end);
  const auto ended = [&](nn::token next) {
    answer.say(next);
    return answer.ended();
  };
  rng::engine unused({});
  generate(prompt, end.max_tokens, {}, unused, ended, [](nn::token) {});
  return answer.text();
}

/// Mean token F1 and exact match of a model's own answers (`score_answer`), as MeZO evaluates SQuAD and DROP, in
/// [0, 1]. Prompts are cut as `encode_prompt` says. Memory: one KV cache of all the model's positions. Throws
/// value_error for no items at all, and as `encode_prompt` does.
template <simd::kernels Kernels = simd::default_kernels, nn::language_model Model, tokenizer Tokenizer,
          answered_question Item, executor Executor>
[[nodiscard]] answer_score answer_accuracy(Model& model, const Tokenizer& tokenizer, const std::vector<Item>& items,
                                           const encoding& how, const answer_end& end, Executor& threads) {
  require(!items.empty(), "answer_accuracy: there are no items");
  nn::generator<Model, Executor, Kernels> generate(model, threads);
  answer_score total;
  for (const Item& item : items) {
    const auto prompt = encode_prompt(tokenizer, item.prompt, how, end.max_tokens);
    const std::string answer = generate_answer(generate, tokenizer, prompt, end);
    const answer_score score = score_answer(answer, std::span<const std::string>(item.answers));
    total.f1 += score.f1;
    total.exact += score.exact;
  }
  const auto count = static_cast<double>(items.size());
  return {total.f1 / count, total.exact / count};
}

}  // namespace zoqat::eval

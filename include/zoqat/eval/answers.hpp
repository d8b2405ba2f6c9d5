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

/// A model's own answer: the most likely token after the other. Ids that the tokenizer does not have, as models with
/// more rows than tokens may choose (OPT has seven), stand for no text. The generator forgets what it held.
template <class Generator, tokenizer Tokenizer>
[[nodiscard]] std::string generate_answer(Generator& generate, const Tokenizer& tokenizer,
                                          std::span<const nn::token> prompt, const answer_end& end) {
  generate.reset();
  std::vector<nn::token> answer;
  std::string text;
  std::size_t found = text.npos;
  // Looked for in the text, since tokenizers have many tokens with a line end in them.
  const auto ended = [&](nn::token next) {
    if (std::ranges::find(end.tokens, next) != end.tokens.end()) return true;
    if (next >= tokenizer.size()) return false;
    answer.push_back(next);
    text = tokenizer.decode(answer);
    for (const std::string& stop : end.texts) found = std::min(found, text.find(stop));
    return found != text.npos;
  };
  rng::engine unused({});
  generate(prompt, end.max_tokens, {}, unused, ended, [](nn::token) {});
  return text.substr(0, found);
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

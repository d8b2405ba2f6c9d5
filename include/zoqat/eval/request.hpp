// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/eval/encoded.hpp>
#include <zoqat/nn/pass.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// Anything with several prompts of which the correct one fits what follows, such as tasks::cloze_item.
template <class T>
concept cloze_question = requires(const T& item) {
  { *std::begin(item.prompts) } -> std::convertible_to<std::string_view>;
  { item.completion } -> std::convertible_to<std::string_view>;
  { item.correct } -> std::convertible_to<std::size_t>;
};

/// A question as lm-evaluation-harness asks it: the log-likelihoods of all candidates are wanted.
struct choice_request {
  encoded_item item{};
  std::vector<std::size_t> lengths{};  ///< of each candidate in characters, without the space before it
  bool is_cut = false;                 ///< whether a candidate with its prompt was too long for the model

  friend bool operator==(const choice_request&, const choice_request&) = default;
};

namespace detail {

/// A prompt that several candidates follow, and what belongs to all of them.
template <tokenizer Tokenizer>
class request_prompt {
 public:
  request_prompt(const Tokenizer& tokenizer, std::string_view prompt, const encoding& how)
      : tokenizer_(tokenizer), how_(how), prompt_(prompt) {
    const std::size_t end = prompt.find_last_not_of(" \t\r\n\f\v");
    given_ = tokenizer.encode(prompt.substr(0, end == prompt.npos ? 0 : end + 1), how.bos).size();
  }

  /// The tokens of prompt and text, cut from the left, and whether they were. Throws as `encode_request` does.
  [[nodiscard]] std::pair<continuation, bool> with(std::string_view text) const {
    continuation result{tokenizer_.encode(std::string(prompt_).append(text), how_.bos), given_};
    require(result.tokens.size() > given_, "encoding: \"{}\" after \"{}\" makes no token", text, prompt_);
    require(given_ > 0, "encoding: \"{}\" has no token before it to be predicted from; encode with BOS", text);
    if (result.tokens.size() <= how_.positions + 1) return {std::move(result), false};
    const std::size_t dropped = result.tokens.size() - (how_.positions + 1);
    result.tokens.erase(result.tokens.begin(), result.tokens.begin() + static_cast<std::ptrdiff_t>(dropped));
    result.given = std::max(given_, dropped + 1) - dropped;
    return {std::move(result), true};
  }

 private:
  const Tokenizer& tokenizer_;
  const encoding& how_;
  std::string_view prompt_;
  std::size_t given_;
};

/// Characters of a text in UTF-8: bytes that do not go on with one.
[[nodiscard]] inline std::size_t characters_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

inline void add_candidate(choice_request& request, std::pair<continuation, bool> candidate) {
  request.item.candidates.push_back(std::move(candidate.first));
  request.is_cut |= candidate.second;
}

}  // namespace detail

/// Encodes a question as lm-evaluation-harness does (release 0.4, `_encode_pair` of its models): prompt and candidate
/// are encoded together, and as many tokens are given as the prompt alone has; white space at its end belongs to the
/// candidate. A model reads as many tokens as it has positions at most (`how.positions`), and what is more is dropped
/// from the left, BOS with it, and where the candidate alone is longer, its beginning too (the harness refuses that).
/// `how.end` does not count. `encode` keeps whole tokens across the border and BOS instead.
///
/// Throws value_error for a candidate that makes no token, for one with nothing in front to be predicted from, and
/// where the correct one is none of them.
template <tokenizer Tokenizer, choice_question Item>
[[nodiscard]] choice_request encode_request(const Tokenizer& tokenizer, const Item& item, const encoding& how) {
  detail::require_positions(how);
  choice_request request{.item = {.correct = item.correct}};
  const detail::request_prompt<Tokenizer> prompt(tokenizer, item.prompt, how);
  for (const std::string_view choice : item.choices) {
    detail::add_candidate(request, prompt.with(choice));
    request.lengths.push_back(detail::characters_of(choice.substr(choice.starts_with(' ') ? 1 : 0)));
  }
  detail::require_correct(request.item);
  return request;
}
/// The same for a question whose prompts are chosen between. There are no lengths to divide by.
template <tokenizer Tokenizer, cloze_question Item>
[[nodiscard]] choice_request encode_request(const Tokenizer& tokenizer, const Item& item, const encoding& how) {
  detail::require_positions(how);
  choice_request request{.item = {.correct = item.correct}};
  for (const std::string_view prompt : item.prompts)
    detail::add_candidate(request, detail::request_prompt<Tokenizer>(tokenizer, prompt, how).with(item.completion));
  detail::require_correct(request.item);
  return request;
}

/// The answer to a question by its log-likelihoods.
struct choice_answer {
  std::vector<double> log_likelihoods{};  ///< log p of each candidate's tokens, summed
  std::size_t chosen = 0;                 ///< the first of the highest
  std::size_t chosen_normalized = 0;  ///< after each is divided by its candidate's length; `chosen` without lengths
};

/// Chooses among the candidates of a request by the losses of `continuation_losses`, −log p of each.
[[nodiscard]] inline choice_answer choose(const choice_request& request, std::span<const double> losses) {
  choice_answer answer;
  std::vector<double> normalized;
  for (std::size_t c = 0; c != request.item.candidates.size(); ++c) {
    answer.log_likelihoods.push_back(-losses[c]);
    normalized.push_back(-losses[c] / (request.lengths.empty() ? 1.0 : static_cast<double>(request.lengths[c])));
  }
  const auto best = [](const std::vector<double>& of) {
    return static_cast<std::size_t>(std::ranges::max_element(of) - of.begin());
  };
  answer.chosen = best(answer.log_likelihoods);
  answer.chosen_normalized = best(normalized);
  return answer;
}

/// Encodes a prompt to be continued by `reserved` tokens as the harness does: where both together have more than
/// `how.positions`, it loses its beginning, BOS with it, and `is_cut` becomes true. Throws value_error as
/// `encode_prompt` does, which keeps BOS.
template <tokenizer Tokenizer>
[[nodiscard]] std::vector<nn::token> encode_prompt_request(const Tokenizer& tokenizer, std::string_view prompt,
                                                           const encoding& how, std::size_t reserved, bool& is_cut) {
  detail::require_room(how, reserved);
  std::vector<nn::token> tokens = detail::prompt_tokens(tokenizer, prompt, how.bos);
  is_cut = tokens.size() > how.positions - reserved;
  if (is_cut) tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(how.positions - reserved));
  return tokens;
}

}  // namespace zoqat::eval

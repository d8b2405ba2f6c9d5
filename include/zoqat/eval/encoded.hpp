// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/nn/pass.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::eval {

/// What turns text into tokens, after BOS if wanted, and back. Ids are below size(); a model's vocabulary may have
/// more rows, to make its size even.
template <class T>
concept tokenizer = requires(const T& t, std::string_view text, bool bos, std::span<const nn::token> tokens) {
  { t.size() } -> std::convertible_to<std::size_t>;
  { t.encode(text, bos) } -> std::same_as<std::vector<nn::token>>;
  { t.decode(tokens) } -> std::convertible_to<std::string>;
};

/// How texts become tokens for a model.
struct encoding {
  std::size_t positions;           ///< most tokens of a text, at least 2; at most the model's positions
  bool bos = true;                 ///< whether a text begins with the tokenizer's BOS
  std::optional<nn::token> end{};  ///< what ends a continuation, such as EOS after an instruction's output
};

/// Tokens of which the first are given, and the others are to be predicted.
struct continuation {
  std::vector<nn::token> tokens;
  std::size_t given = 0;

  [[nodiscard]] std::size_t scored() const noexcept { return tokens.size() - given; }
  /// What a model reads to predict them: all tokens but the last.
  [[nodiscard]] std::span<const nn::token> read() const noexcept {
    return std::span(tokens).first(tokens.empty() ? 0 : tokens.size() - 1);
  }
  friend bool operator==(const continuation&, const continuation&) = default;
};

/// A question, encoded: its candidates after the prompt, or its answer alone.
struct encoded_item {
  std::vector<continuation> candidates{};  ///< each with the prompt
  std::size_t correct = 0;

  [[nodiscard]] const continuation& right() const { return candidates[correct]; }
  friend bool operator==(const encoded_item&, const encoded_item&) = default;
};

/// Anything with a prompt, choices and the number of the correct one, such as tasks::choice_item.
template <class T>
concept choice_question = requires(const T& item) {
  { item.prompt } -> std::convertible_to<std::string_view>;
  { *std::begin(item.choices) } -> std::convertible_to<std::string_view>;
  { item.correct } -> std::convertible_to<std::size_t>;
};
/// Anything with a prompt and what training makes follow it, such as tasks::answer_item.
template <class T>
concept answer_question = requires(const T& item) {
  { item.prompt } -> std::convertible_to<std::string_view>;
  { item.completion } -> std::convertible_to<std::string_view>;
};

namespace detail {

/// Drops tokens of a prompt from its left until it has no more than `most`; the first stays if it is BOS.
inline void shorten_prompt(std::vector<nn::token>& tokens, std::size_t length, std::size_t most, bool bos) {
  if (length <= most) return;
  const auto first = tokens.begin() + (bos ? 1 : 0);
  tokens.erase(first, first + static_cast<std::ptrdiff_t>(length - most));
}

inline void require_positions(const encoding& how) {
  require(how.positions >= 2, "encoding: texts of at most {}; a prompt and what follows it are at least 2",
          plural(how.positions, "token"));
}
inline void require_correct(const encoded_item& item) {
  require(item.correct < item.candidates.size(), "encoding: candidate {} of {} is marked as correct", item.correct,
          item.candidates.size());
}
/// Throws unless a prompt may have a token before `reserved` new ones.
inline void require_room(const encoding& how, std::size_t reserved) {
  require(how.positions > reserved, "encoding: a model with {} leaves none for a prompt before {}",
          plural(how.positions, "position"), plural(reserved, "new token"));
}
/// The tokens of a prompt, of which there must be some.
template <tokenizer Tokenizer>
[[nodiscard]] std::vector<nn::token> prompt_tokens(const Tokenizer& tokenizer, std::string_view prompt, bool bos) {
  std::vector<nn::token> tokens = tokenizer.encode(prompt, bos);
  require(!tokens.empty(), "encoding: the prompt \"{}\" has no tokens; encode with BOS", prompt);
  return tokens;
}

}  // namespace detail

/// Encodes `text` after `prompt`. The two are encoded together, as a tokenizer would meet them, and what differs from
/// the prompt alone is to be predicted, so that a token across the border belongs to the text. Where there are more
/// tokens than `positions`, the text loses its end until it takes no more than half of them, and then the prompt its
/// beginning, but never BOS; a text without its end goes without `end` too.
///
/// Throws value_error for a text that makes no token, and for one with nothing in front to be predicted from.
template <tokenizer Tokenizer>
[[nodiscard]] continuation encode_continuation(const Tokenizer& tokenizer, std::string_view prompt,
                                               std::string_view text, const encoding& how) {
  detail::require_positions(how);
  continuation result{.tokens = tokenizer.encode(std::string(prompt).append(text), how.bos)};
  const std::vector<nn::token> alone = tokenizer.encode(prompt, how.bos);
  result.given = static_cast<std::size_t>(std::ranges::mismatch(alone, result.tokens).in1 - alone.begin());
  if (how.end) result.tokens.push_back(*how.end);
  require(result.scored() > 0, "encoding: \"{}\" after \"{}\" makes no token", text, prompt);
  require(result.given > 0, "encoding: \"{}\" has no token before it to be predicted from; encode with BOS", text);
  if (result.tokens.size() <= how.positions) return result;
  const std::size_t beside_prompt = how.positions - std::min(result.given, how.positions);
  const std::size_t scored = std::min(result.scored(), std::max(beside_prompt, how.positions / 2));
  const std::size_t given = std::min(result.given, how.positions - scored);
  result.tokens.resize(result.given + scored);
  detail::shorten_prompt(result.tokens, result.given, given, how.bos);
  result.given = given;
  return result;
}

/// Encodes the candidates of a question. Throws value_error as `encode_continuation` does, and where the correct one
/// is none of them.
template <tokenizer Tokenizer, choice_question Item>
[[nodiscard]] encoded_item encode(const Tokenizer& tokenizer, const Item& item, const encoding& how) {
  encoded_item result{.correct = item.correct};
  for (const std::string_view choice : item.choices)
    result.candidates.push_back(encode_continuation(tokenizer, item.prompt, choice, how));
  detail::require_correct(result);
  return result;
}
/// Encodes the answer to a question as the only candidate. Throws value_error as `encode_continuation` does.
template <tokenizer Tokenizer, answer_question Item>
[[nodiscard]] encoded_item encode(const Tokenizer& tokenizer, const Item& item, const encoding& how) {
  return {.candidates = {encode_continuation(tokenizer, item.prompt, item.completion, how)}};
}

template <tokenizer Tokenizer, class Item>
[[nodiscard]] std::vector<encoded_item> encode(const Tokenizer& tokenizer, const std::vector<Item>& items,
                                               const encoding& how) {
  std::vector<encoded_item> result;
  result.reserve(items.size());
  for (const Item& item : items) result.push_back(encode(tokenizer, item, how));
  return result;
}

/// Encodes a prompt to be continued by `reserved` tokens: it loses its beginning, but never BOS, where both together
/// have more than `positions`. Throws value_error for a prompt without any token and where nothing is left for it.
template <tokenizer Tokenizer>
[[nodiscard]] std::vector<nn::token> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                                                   const encoding& how, std::size_t reserved) {
  detail::require_room(how, reserved);
  std::vector<nn::token> tokens = detail::prompt_tokens(tokenizer, prompt, how.bos);
  detail::shorten_prompt(tokens, tokens.size(), how.positions - reserved, how.bos);
  return tokens;
}

}  // namespace zoqat::eval

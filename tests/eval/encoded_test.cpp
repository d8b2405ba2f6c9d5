// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/encoded.hpp>

#include <doctest/doctest.h>
#include <support/character_tokenizer.hpp>
#include <support/errors.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

const character_tokenizer letters;
using tokens = std::vector<nn::token>;

struct question {
  std::string prompt;
  std::vector<std::string> choices;
  std::size_t correct = 0;
};
struct instruction {
  std::string prompt, completion;
};

/// The prompt and the continuation as text, `^` for BOS and `$` for the end.
std::string shown(const eval::continuation& c) {
  std::string text;
  for (std::size_t i = 0; i != c.tokens.size(); ++i) {
    if (i == c.given) text += "|";
    if (c.tokens[i] == letters.bos)
      text += "^";
    else if (c.tokens[i] == letters.end)
      text += "$";
    else
      text += letters.decode(std::vector{c.tokens[i]});
  }
  return text;
}
std::string encoded(std::string_view prompt, std::string_view text, const eval::encoding& how = {.positions = 99}) {
  const auto result = eval::encode_continuation(letters, prompt, text, how);
  CHECK(result.tokens.size() <= how.positions);
  CHECK(result.read().size() + 1 == result.tokens.size());
  return shown(result);
}

}  // namespace

static_assert(eval::tokenizer<character_tokenizer> && !eval::tokenizer<question>);

TEST_CASE("what is predicted begins where the text differs from the prompt") {
  CHECK(encoded("it was", " ok") == "^it was| ok");
  CHECK(encoded("it was", " ok", {.positions = 99, .bos = false}) == "it was| ok");
  CHECK(encoded("it was", " ok", {.positions = 99, .end = letters.end}) == "^it was| ok$");
  CHECK(encoded("", "x") == "^|x");
  CHECK(encoded("la", "bel") == "^l|abel");  // a and b are one token
  CHECK(eval::encode_continuation(letters, "la", "bel", {.positions = 99}).scored() == 3);
}

TEST_CASE("too long, the prompt loses its beginning but BOS; a long text its end first") {
  CHECK(encoded("prompt", " ok", {.positions = 9}) == "^rompt| ok");
  CHECK(encoded("prompt", " ok", {.positions = 8}) == "^ompt| ok");
  CHECK(encoded("prompt", " ok", {.positions = 8, .bos = false}) == "rompt| ok");
  CHECK(encoded("prompt", "textual", {.positions = 8, .end = letters.end}) == "^mpt|text");
  CHECK(encoded("pt", "textual", {.positions = 8, .end = letters.end}) == "^pt|textu");
  CHECK(encoded("prompt", "text", {.positions = 9, .end = letters.end}) == "^ompt|text");
  CHECK(encoded("prompt", "tex", {.positions = 9, .end = letters.end}) == "^ompt|tex$");
  CHECK(encoded("prompt", "text", {.positions = 2}) == "^|t");
  CHECK(encoded("prompt", "text", {.positions = 3, .bos = false}) == "pt|t");
}

TEST_CASE("questions are encoded by the members they have") {
  const eval::encoding how{.positions = 99};
  const auto choice = eval::encode(letters, question{"is it", {" so", " no", " ok"}, 1}, how);
  REQUIRE(choice.candidates.size() == 3);
  CHECK(shown(choice.candidates[2]) == "^is it| ok");
  CHECK(shown(choice.right()) == "^is it| no");
  const auto all = eval::encode(letters, std::vector{instruction{"say", " hi"}, instruction{"do", " it"}}, how);
  REQUIRE(all.size() == 2);
  REQUIRE(all[1].candidates.size() == 1);
  CHECK(shown(all[1].right()) == "^do| it");
}

TEST_CASE("prompts leave room for what is to come") {
  const auto prompt = [](std::size_t positions, std::size_t reserved, bool bos = true) {
    return letters.decode(eval::encode_prompt(letters, "prompt", {.positions = positions, .bos = bos}, reserved));
  };
  CHECK(prompt(12, 5) == "prompt");
  CHECK(prompt(11, 5) == "rompt");
  CHECK(prompt(11, 5, false) == "prompt");
  CHECK(prompt(6, 5) == "");
  CHECK(eval::encode_prompt(letters, "prompt", {.positions = 6}, 5) == tokens{letters.bos});
}

TEST_CASE("what cannot be predicted is refused with the text") {
  const auto failure = [](auto&& f) { return message_of<value_error>(f); };
  check_mentions(failure([] { encoded("it was", ""); }), "\"\" after \"it was\"", "no token");
  check_mentions(failure([] { encoded("", "word", {.positions = 9, .bos = false}); }), "\"word\"", "BOS");
  check_mentions(failure([] { encoded("a", "b", {.positions = 1}); }), "at most 1 token;");
  check_mentions(failure([] {
                   static_cast<void>(eval::encode(letters, question{"q", {"x"}, 1}, {.positions = 9}));
                 }),
                 "candidate 1 of 1");
  check_mentions(failure([] { static_cast<void>(eval::encode_prompt(letters, "p", {.positions = 5}, 5)); }),
                 "5 positions", "5 new tokens");
  check_mentions(
      failure([] { static_cast<void>(eval::encode_prompt(letters, "", {.positions = 5, .bos = false}, 1)); }),
      "no tokens");
}

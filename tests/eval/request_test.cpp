// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/request.hpp>

#include <doctest/doctest.h>
#include <support/character_tokenizer.hpp>
#include <support/errors.hpp>

#include <cstddef>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

const character_tokenizer letters;

struct choice {
  std::string prompt;
  std::vector<std::string> choices;
  std::size_t correct = 0;
};
struct cloze {
  std::vector<std::string> prompts;
  std::string completion;
  std::size_t correct = 0;
};
using tokens = std::vector<nn::token>;

tokens all(std::string_view text) { return letters.encode(text, true); }

}  // namespace

TEST_CASE("a candidate's tokens are those beyond as many as the prompt alone has") {
  const auto request = eval::encode_request(letters, choice{"the", {" cat", " dogs"}, 1}, {.positions = 40});
  REQUIRE(request.item.candidates.size() == 2);
  CHECK(request.item.candidates[0] == eval::continuation{all("the cat"), 4});
  CHECK(request.item.candidates[1] == eval::continuation{all("the dogs"), 4});
  CHECK(request.item.correct == 1);
  CHECK(request.lengths == std::vector<std::size_t>{3, 4});
  CHECK(!request.is_cut);
  // "ab" is one token, so that the border is where the prompt alone would end, though its last token is another.
  const auto merged = eval::encode_request(letters, choice{"a", {"bc"}, 0}, {.positions = 40});
  CHECK(merged.item.candidates[0] == eval::continuation{all("abc"), 2});
  CHECK(merged.lengths == std::vector<std::size_t>{2});
}

TEST_CASE("white space at the end of a prompt belongs to the candidate") {
  const auto request = eval::encode_request(letters, choice{"the \n", {"cat"}, 0}, {.positions = 40});
  CHECK(request.item.candidates[0] == eval::continuation{all("the \ncat"), 4});
  CHECK(request.lengths == std::vector<std::size_t>{3});
  const auto blank = eval::encode_request(letters, choice{" ", {"a"}, 0}, {.positions = 40});
  CHECK(blank.item.candidates[0] == eval::continuation{all(" a"), 1});
}

TEST_CASE("lengths are characters, without the one space before a candidate") {
  struct anything : character_tokenizer {
    static tokens encode(std::string_view text, bool) { return tokens(text.size() + 1, 5); }
  };
  const auto request = eval::encode_request(
      anything(), choice{"x", {" \xC3\xA9t\xC3\xA9", "  y", " \xF0\x9F\x98\x80"}, 0}, {.positions = 40});
  CHECK(request.lengths == std::vector<std::size_t>{3, 2, 1});
}

TEST_CASE("a model reads as many tokens as it has positions, the last ones") {
  const choice item{"abcdefgh", {" xyz"}, 0};
  const tokens whole = all("abcdefgh xyz");  // BOS, ab, 6 letters and 4 to be scored
  REQUIRE(whole.size() == 12);
  const auto with = [&](std::size_t positions) {
    return eval::encode_request(letters, item, {.positions = positions});
  };
  CHECK(!with(11).is_cut);
  CHECK(with(11).item.candidates[0] == eval::continuation{whole, 8});
  CHECK(with(10).is_cut);
  CHECK(with(10).item.candidates[0] == eval::continuation{tokens(whole.begin() + 1, whole.end()), 7});
  CHECK(with(10).item.candidates[0].read().size() == 10);
  CHECK(with(4).item.candidates[0] == eval::continuation{tokens(whole.begin() + 7, whole.end()), 1});
  CHECK(with(2).item.candidates[0] == eval::continuation{tokens(whole.begin() + 9, whole.end()), 1});
}

TEST_CASE("the prompts of a sentence with a blank are followed by the same tokens") {
  const auto request = eval::encode_request(letters, cloze{{"so ann", "so bea"}, " left", 1}, {.positions = 40});
  REQUIRE(request.item.candidates.size() == 2);
  CHECK(request.item.candidates[0] == eval::continuation{all("so ann left"), 7});
  CHECK(request.item.candidates[1] == eval::continuation{all("so bea left"), 7});
  CHECK(request.lengths.empty());
}

TEST_CASE("the highest sum is chosen, and the highest after division by lengths; the first of equals") {
  eval::choice_request request{.item = {.candidates = {3, eval::continuation{}}}, .lengths = {2, 10, 4}};
  const std::vector<double> losses{4.0, 6.0, 4.0};
  const auto answer = eval::choose(request, losses);
  CHECK(answer.log_likelihoods == std::vector<double>{-4, -6, -4});
  CHECK(answer.chosen == 0);
  CHECK(answer.chosen_normalized == 1);
  request.lengths.clear();
  CHECK(eval::choose(request, losses).chosen_normalized == 0);
}

TEST_CASE("a prompt to be continued keeps its end") {
  bool is_cut = false;
  const tokens whole = all("cdefgh");
  CHECK(eval::encode_prompt_request(letters, "cdefgh", {.positions = 10}, 3, is_cut) == whole);
  CHECK(!is_cut);
  CHECK(eval::encode_prompt_request(letters, "cdefgh", {.positions = 6}, 3, is_cut) ==
        tokens(whole.end() - 3, whole.end()));
  CHECK(is_cut);
  check_mentions(message_of<value_error>([&] {
                   static_cast<void>(eval::encode_prompt_request(letters, "c", {.positions = 3}, 3, is_cut));
                 }),
                 "3 positions", "3 new tokens");
}

TEST_CASE("questions that cannot be asked are refused") {
  const auto failure = [](const choice& item, bool bos = true) {
    return message_of<value_error>(
        [&] { static_cast<void>(eval::encode_request(letters, item, {.positions = 9, .bos = bos})); });
  };
  check_mentions(failure({"the", {""}, 0}), "\"\" after \"the\"", "no token");
  check_mentions(failure({"", {"cat"}, 0}, false), "\"cat\"", "encode with BOS");
  check_mentions(failure({"the", {" cat"}, 1}), "candidate 1 of 1");
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/token_f1.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;

namespace {

using words = std::vector<std::string>;

double f1(std::string_view answer, const words& golds) { return eval::score_answer(answer, golds).f1; }
double exact(std::string_view answer, const words& golds) { return eval::score_answer(answer, golds).exact; }

}  // namespace

TEST_CASE("words are compared without case, punctuation, articles and white space") {
  CHECK(eval::answer_words("  The  Cat's\tmat. ") == words{"cats", "mat"});
  CHECK(eval::answer_words("An apple, a-pple & THE") == words{"apple", "apple"});
  CHECK(eval::answer_words("anthem theatre a1") == words{"anthem", "theatre", "a1"});
  CHECK(eval::answer_words("3.5 km_2") == words{"35", "km2"});
  CHECK(eval::answer_words("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").empty());
  CHECK(eval::answer_words("").empty());
  CHECK(eval::answer_words("The").empty());
}

TEST_CASE("beyond ASCII every character is part of its word") {
  CHECK(eval::answer_words("\xC3\x89t\xC3\xA9 ETE") == words{"\xC3\x89t\xC3\xA9", "ete"});
  CHECK(eval::answer_words("\xE2\x80\x9Cthe\xE2\x80\x9D") == words{"\xE2\x80\x9Cthe\xE2\x80\x9D"});
}

TEST_CASE("F1 counts words as often as both have them") {
  CHECK(f1("red house", {"the red house"}) == 1);
  CHECK(f1("house red", {"red house"}) == 1);
  CHECK(exact("house red", {"red house"}) == 0);
  CHECK(exact("The red house!", {"red house"}) == 1);
  CHECK(f1("blue", {"red house"}) == 0);
  CHECK(f1("a big red house", {"red house"}) == doctest::Approx(2 * (2.0 / 3) * 1 / (2.0 / 3 + 1)));
  CHECK(f1("red red red", {"red red"}) == doctest::Approx(0.8));  // precision 2/3, recall 1
  CHECK(f1("red", {"red red"}) == doctest::Approx(2.0 / 3));
}

TEST_CASE("the best gold counts, for each measure by itself") {
  CHECK(f1("red house", {"green", "big red house", "red"}) == doctest::Approx(0.8));
  CHECK(exact("red", {"red house", "Red."}) == 1);
  const auto score = eval::score_answer("red house", words{"house red", "blue"});
  CHECK(score.f1 == 1);
  CHECK(score.exact == 0);
  CHECK(f1("red", {}) == 0);
}

TEST_CASE("that there is no answer is right or wrong, whatever the words have in common") {
  for (const char* const none : {"no answer", "CANNOTANSWER"}) {
    CHECK(f1(none, {none}) == 1);
    CHECK(f1("red", {none, "red"}) == 0);
    CHECK(exact("red", {none, "red"}) == 1);  // MeZO's exact match knows no such case
    CHECK(f1("red", {"red", none}) == 1);
  }
  CHECK(f1("No answer.", {"no answer"}) == 1);
  CHECK(f1("no", {"no answer"}) == 0);
  CHECK(f1("no", {"No answer"}) == doctest::Approx(2.0 / 3));
}

TEST_CASE("an answer without words agrees only with a gold without words") {
  CHECK(f1("", {""}) == 1);
  CHECK(f1("the", {""}) == 1);
  CHECK(exact(".", {"the"}) == 1);
  CHECK(f1("", {"red"}) == 0);
  CHECK(f1("red", {""}) == 0);
}

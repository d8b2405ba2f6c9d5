// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/answers.hpp>

#include <doctest/doctest.h>
#include <support/character_tokenizer.hpp>
#include <support/errors.hpp>
#include <zoqat/core/model_shape.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

const character_tokenizer letters;

/// A model that goes on with a text, whatever it read: this is no more than an nn::language_model.
struct parrot {
  std::string text;  ///< `$` for the token that ends texts, `#` for one that no tokenizer knows
  model_shape shape_{
      .hidden = 1, .layers = 1, .heads = 1, .kv_heads = 1, .head_size = 1, .vocabulary = 34, .positions = 80};
  std::size_t said = 0;
  std::vector<nn::token> prompt{};

  [[nodiscard]] const model_shape& shape() const { return shape_; }
  template <class Pass>
  void forward(const Pass& pass) {
    if (pass.first_position() != 0) return;
    said = 0;
    prompt.clear();
    for (std::size_t i = 0; i != pass.tokens(); ++i) prompt.push_back(pass.batch[i]);
  }
  template <class Pass, class F>
  void for_each_logit_tile(const Pass&, std::span<const std::size_t>, F&&) const {
    FAIL("generation reads whole rows of logits");
  }
  template <class Pass>
  void logits(const Pass&, std::span<const std::size_t>, matrix_view<float> out) {
    std::ranges::fill(out.row(0), 0.0f);
    const char next = said < text.size() ? text[said++] : 'x';
    out(0, next == '$' ? letters.end : next == '#' ? letters.size() : letters.of(next)) = 1;
  }
};

std::string answer_of(std::string_view text, const eval::answer_end& end = {.tokens = {character_tokenizer::end}}) {
  parrot model{std::string(text)};
  sequential here;
  nn::generator<parrot, sequential> generate(model, here);
  return eval::generate_answer(generate, letters, letters.encode("q", true), end);
}

struct question {
  std::string prompt;
  std::vector<std::string> answers;
};

}  // namespace

TEST_CASE("an answer ends at a line end, at EOS or at its longest") {
  CHECK(answer_of(" red house\nand more") == " red house");
  CHECK(answer_of("red$house") == "red");
  CHECK(answer_of("\nred") == "");
  CHECK(answer_of("$") == "");
  CHECK(answer_of("") == std::string(50, 'x'));
  CHECK(answer_of("red house", {.max_tokens = 3}) == "red");
  CHECK(answer_of("red", {.max_tokens = 0}) == "");
  CHECK(answer_of("red\nhouse$", {.texts = {}, .tokens = {character_tokenizer::end}}) == "red\nhouse");
  CHECK(answer_of("red. end. more", {.texts = {". "}}) == "red");
  CHECK(answer_of("red. end. more", {.texts = {"end", "more", ". "}}) == "red");
  CHECK(answer_of("red end more", {.texts = {"more", "end"}}) == "red ");
}

TEST_CASE("tokens that only the model has are no text") {
  CHECK(answer_of("#") == std::string(49, 'x'));
  CHECK(answer_of(" red# ho##use\n") == " red house");
  CHECK(answer_of("red#$house") == "red");
}

TEST_CASE("answers of many questions are scored by their best gold, each from an empty cache") {
  parrot model{" the red house\n"};
  sequential here;
  const std::vector<question> questions{{"what", {"red house"}}, {"who", {"red"}}, {"why", {"blue", "house"}}};
  const auto score = eval::answer_accuracy(model, letters, questions, {.positions = 80}, {}, here);
  CHECK(score.exact == doctest::Approx(1.0 / 3));
  CHECK(score.f1 == doctest::Approx((1 + 2 * (2.0 / 3)) / 3));
  CHECK(model.prompt == letters.encode("why", true));

  const std::vector<question> one{{std::string(60, 'y') + "z", {"red house"}}};
  CHECK(eval::answer_accuracy(model, letters, one, {.positions = 70}, {}, here).exact == 1);
  CHECK(model.prompt == letters.encode(std::string(18, 'y') + "z", true));  // 20 of 70 tokens are left
  check_mentions(message_of<value_error>([&] {
                   static_cast<void>(
                       eval::answer_accuracy(model, letters, std::vector<question>{}, {.positions = 80}, {}, here));
                 }),
                 "no items");
}

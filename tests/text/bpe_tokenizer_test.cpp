// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/bpe_tokenizer.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using text::special_spelling;
using tokens = std::vector<std::uint32_t>;

namespace {

// Letters, one merge, and an added token of each kind.
text::bpe_tokenizer_parts parts() {
  text::bpe_model model({"a", "b", "ab", " ", "x", "", ""}, "source", {});
  model.add_merge("a", "b", "merge");
  return {.model = std::move(model),
          .added = {{.text = "<s>", .id = 5, .stored = "<s>", .special = true}},
          .added_after_normalization = {{.text = "xx", .id = 6, .stored = "(x)"}},
          .normalizer = {},
          .words = {},
          .decoder = {},
          .prefix = std::nullopt};
}

}  // namespace

TEST_CASE("without any step a text is one word") {
  const text::bpe_tokenizer tokenizer(parts());
  CHECK(tokenizer.size() == 7);
  CHECK(tokenizer.encode("", true).empty());
  CHECK(tokenizer.encode("ab b", true) == tokens{2, 3, 1});
  CHECK(tokenizer.decode(tokens{2, 3, 1}) == "ab b");
}

TEST_CASE("what begins a text: the prefix, BOS where there is none, nothing") {
  auto both = parts(), only_bos = parts();
  both.bos = only_bos.bos = 5;
  both.prefix = tokens{5, 0};
  CHECK(text::bpe_tokenizer(both).encode("b", true) == tokens{5, 0, 1});
  CHECK(text::bpe_tokenizer(both).encode("b", false) == tokens{1});
  CHECK(text::bpe_tokenizer(only_bos).encode("b", true) == tokens{5, 1});
  CHECK(text::bpe_tokenizer(only_bos).bos() == 5u);
  only_bos.prefix = tokens{};
  CHECK(text::bpe_tokenizer(only_bos).encode("b", true) == tokens{1});
}

TEST_CASE("what ends a text is told, and is not put behind a prompt") {
  auto with = parts();
  with.suffix = tokens{5};
  const text::bpe_tokenizer tokenizer(with);
  CHECK(tokenizer.suffix().size() == 1);
  CHECK(tokenizer.suffix()[0] == 5);
  CHECK(tokenizer.encode("b", true) == tokens{1});
  CHECK(text::bpe_tokenizer(parts()).suffix().empty());
}

TEST_CASE("added tokens, before and after normalization, and decoded as they are stored") {
  auto with = parts();
  with.normalizer = [](std::string text) {
    if (text == "b") text = "xxa";
    return text;
  };
  const text::bpe_tokenizer tokenizer(with);
  const auto encoded = tokenizer.encode("ab<s>b", false, special_spelling::on);
  CHECK(encoded == tokens{2, 5, 6, 0});
  CHECK(tokenizer.decode(encoded) == "ab(x)a");
  CHECK(tokenizer.decode(encoded, special_spelling::on) == "ab<s>(x)a");
  CHECK(tokenizer.encode("ab<s>b", false) == encoded);
  check_mentions(
      message_of<value_error>([&] { static_cast<void>(tokenizer.encode("<s>", false, special_spelling::off)); }),
      "'<'");
}

TEST_CASE("steps know where the text begins") {
  auto with = parts();
  with.words = [](text::text_pieces& pieces) {
    if (!pieces.at_start()) return;
    pieces.rewrite([](std::string& out, std::string_view piece, bool) { out.append(1, 'x').append(piece); });
  };
  const text::bpe_tokenizer tokenizer(with);
  CHECK(tokenizer.encode("ab<s>b", false, special_spelling::on) == tokens{4, 2, 5, 1});
  CHECK(tokenizer.encode("<s>b", false, special_spelling::on) == tokens{5, 1});
  CHECK(tokenizer.encode("xxb", false) == tokens{6, 1});
}

TEST_CASE("words come out the same the first time and again, short or long") {
  auto with = parts();
  with.words = [](text::text_pieces& pieces) {
    pieces.split(text::unicode_pattern::literal(" "), text::split_behavior::removed);
  };
  const text::bpe_tokenizer tokenizer(with);
  std::string word, text;
  tokens once, all;
  for (int i = 0; i != 50; ++i) word += "ab", once.push_back(2);
  for (int i = 0; i != 3; ++i) {
    text += "ab " + word + ' ';
    all.push_back(2);
    all.insert(all.end(), once.begin(), once.end());
  }
  CHECK(tokenizer.encode(text, false) == all);
}

TEST_CASE("a copy stands on its own, and unknown tokens are refused") {
  auto original = std::make_unique<text::bpe_tokenizer>(parts());
  const text::bpe_tokenizer copy(*original);
  original.reset();
  CHECK(copy.decode(copy.encode("ab", false)) == "ab");
  check_mentions(message_of<value_error>([&] { static_cast<void>(copy.decode(tokens{7})); }), "token 7", "7");
}

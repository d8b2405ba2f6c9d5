// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/pre_tokenizer.hpp>

#include <doctest/doctest.h>
#include <support/byte_level_files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using text::prefix_mark;
using parts = std::vector<std::string>;

namespace {

parts words(const text::pre_tokenizer& step, std::string_view text, bool at_start = true) {
  text::text_pieces pieces(std::string(text), at_start);
  step(pieces);
  parts found;
  pieces.for_each([&](std::string_view piece) { found.emplace_back(piece); });
  return found;
}

}  // namespace

TEST_CASE("GPT-2's words are those of its definition") {
  const text::split_matches step{text::unicode_pattern(text::gpt2_words)};
  for (const std::string& text : testing::troublesome_texts()) {
    CAPTURE(text);
    const auto naive = testing::naive_byte_level_bpe::words(text);
    CHECK(words(step, text) == parts(naive.begin(), naive.end()));
  }
}

TEST_CASE("bytes are spelled, in words or not, with a space in front or not") {
  CHECK(words(text::spell_bytes{}, "it's é\n") == parts{"it", "'s", "ĠÃ©", "Ċ"});
  CHECK(words(text::spell_bytes{.words = std::nullopt}, "a b") == parts{"aĠb"});
  CHECK(words(text::spell_bytes{.prefix_space = true}, "a b") == parts{"Ġa", "Ġb"});
  CHECK(words(text::spell_bytes{.prefix_space = true}, " a") == parts{"Ġa"});
  CHECK(words(text::spell_bytes{.prefix_space = true}, "").empty());
}

TEST_CASE("spaces become marks") {
  CHECK(words(text::mark_spaces{"▁"}, "a  b") == parts{"▁a", "▁", "▁b"});
  CHECK(words(text::mark_spaces{"▁", prefix_mark::always, false}, "a b") == parts{"▁a▁b"});
  CHECK(words(text::mark_spaces{"▁"}, " a") == parts{"▁a"});
  CHECK(words(text::mark_spaces{"▁"}, "▁a") == parts{"▁a"});
  CHECK(words(text::mark_spaces{"▁", prefix_mark::never}, "a b") == parts{"a", "▁b"});
  CHECK(words(text::mark_spaces{"▁", prefix_mark::first}, "a", true) == parts{"▁a"});
  CHECK(words(text::mark_spaces{"▁", prefix_mark::first}, "a", false) == parts{"a"});
  CHECK(words(text::mark_spaces{"▁"}, "").empty());
}

TEST_CASE("a mark in front of the first piece or of each") {
  const text::split_matches digits{text::unicode_pattern("\\p{N}")};
  const auto both = [&](prefix_mark prefix) {
    return text::pre_tokenizer_sequence{{digits, text::mark_spaces{"_", prefix}}};
  };
  CHECK(words(both(prefix_mark::first), "a1b") == parts{"_a", "1", "b"});
  CHECK(words(both(prefix_mark::always), "a1b") == parts{"_a", "_1", "_b"});
  CHECK(words(text::pre_tokenizer_sequence{}, "a b") == parts{"a b"});
}

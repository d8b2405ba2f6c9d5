// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/token_decoder.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace zoqat;
using parts = std::vector<std::string>;

namespace {

parts decoded(const text::token_decoder& step, parts tokens) {
  step(tokens);
  return tokens;
}

}  // namespace

TEST_CASE("spelled bytes, and tokens that spell none") {
  CHECK(decoded(text::decode_spelled_bytes, {"Ġa", "Ã", "a b", "", "€"}) == parts{" a", "\xc3", "a b", "", "€"});
}

TEST_CASE("byte tokens, and what only looks like one") {
  CHECK(decoded(text::decode_byte_tokens, {"<0x41>", "<0xFF>", "<0x0a>"}) == parts{"A", "\xff", "\n"});
  const parts others{"", "<0x4>", "<0x4G>", "<0x-1>", "<0x+1>", "<0x411>", "0x41", "<0x41>a", "<0x 1>"};
  CHECK(decoded(text::decode_byte_tokens, others) == others);
}

TEST_CASE("tokens become one, or are kept apart by spaces") {
  CHECK(decoded(text::fuse_tokens, {"a", "", "b"}) == parts{"ab"});
  CHECK(decoded(text::fuse_tokens, {}).empty());
  CHECK(decoded(text::separate_tokens, {"a", "", "b"}) == parts{"a", " ", " b"});
  CHECK(decoded(text::separate_tokens, {}).empty());
}

TEST_CASE("texts are replaced and stripped in each token") {
  CHECK(decoded(text::replace_in_tokens{"▁", " "}, {"▁a▁▁b", "c▁"}) == parts{" a  b", "c "});
  CHECK(decoded(text::replace_in_tokens{"a", "aa"}, {"aba"}) == parts{"aabaa"});
  CHECK(decoded(text::strip_tokens{" ", 1, 0}, {"  a ", "b"}) == parts{" a ", "b"});
  CHECK(decoded(text::strip_tokens{" ", 0, 2}, {" a   "}) == parts{" a "});
  CHECK(decoded(text::strip_tokens{"xy", 9, 9}, {"xyxyx", "xy"}) == parts{"x", ""});
}

TEST_CASE("marks become spaces, and one goes from the front") {
  CHECK(decoded(text::decode_marks("▁", true), {"▁▁a", "▁b"}) == parts{" a", " b"});
  CHECK(decoded(text::decode_marks("▁", true), {"a"}) == parts{"a"});
  CHECK(decoded(text::decode_marks("▁", false), {"▁a"}) == parts{" a"});
  CHECK(decoded(text::decode_marks("▁", true), {}).empty());
}

TEST_CASE("steps follow one another, as in LLaMA 2's decoder") {
  const text::decoder_sequence steps{{text::replace_in_tokens{"▁", " "}, text::decode_byte_tokens, text::fuse_tokens,
                                      text::strip_tokens{" ", 1, 0}}};
  CHECK(decoded(steps, {"▁a", "<0xC3>", "<0xA9>", "▁b"}) == parts{"aé b"});
}

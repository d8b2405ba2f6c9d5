// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/bpe_model.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using tokens = std::vector<std::uint32_t>;

namespace {

tokens encode(const text::bpe_model& model, std::string_view word) {
  text::bpe_merger merger;
  tokens result;
  model.encode_into(word, merger, result);
  return result;
}

std::vector<std::string> with_byte_tokens(std::vector<std::string> pieces) {
  for (int b = 0; b != 256; ++b) pieces.push_back(fmt::format("<0x{:02X}>", b));
  return pieces;
}

}  // namespace

TEST_CASE("pairs of the lowest rank merge first, the leftmost of equals") {
  text::bpe_model model({"a", "b", "c", "bc", "ab", "aa", "aab"}, "source", {});
  model.add_merge("b", "c", "first");
  model.add_merge("a", "b", "second");
  model.add_merge("a", "a", "third");
  model.add_merge("aa", "b", "fourth");
  CHECK(model.size() == 7);
  CHECK(model.merges() == 4);
  CHECK(encode(model, "abc") == tokens{0, 3});
  CHECK(encode(model, "aab") == tokens{0, 4});
  CHECK(encode(model, "aaa") == tokens{5, 0});
  CHECK(encode(model, "").empty());
}

TEST_CASE("a word that is in the vocabulary is its token, if the model says so") {
  const std::vector<std::string> pieces{"a", "b", "ab"};
  CHECK(encode({pieces, "source", {}}, "ab") == tokens{0, 1});
  CHECK(encode({pieces, "source", {.whole_words = true}}, "ab") == tokens{2});
  CHECK(encode({pieces, "source", {.whole_words = true}}, "aba") == tokens{0, 1, 0});
}

TEST_CASE("characters that the vocabulary lacks: an error, one token, or bytes") {
  const std::vector<std::string> pieces{"a", "?"};
  const text::bpe_model none(pieces, "source", {}), unknown(pieces, "source", {.unknown = 1}),
      fused(pieces, "source", {.unknown = 1, .fuse_unknown = true}),
      bytes(with_byte_tokens(pieces), "source", {.unknown = 1, .byte_fallback = true});
  check_mentions(message_of<value_error>([&] { encode(none, "aé"); }), "'é'", "not in the vocabulary");
  CHECK(encode(unknown, "éüaé") == tokens{1, 1, 0, 1});
  CHECK(encode(fused, "éüaé") == tokens{1, 0, 1});
  CHECK(encode(bytes, "aé\xff") == tokens{0, 2 + 0xc3, 2 + 0xa9, 2 + 0xff});
}

TEST_CASE("bytes for what is unknown, where the vocabulary has them all; an unknown token where it lacks one") {
  const std::vector<std::string> pieces{"a", "?", "<0xC3>", "<0xA9>"};  // é is C3 A9, ü is C3 BC
  const text::bpe_model partly(pieces, "source", {.unknown = 1, .byte_fallback = true}),
      fused(pieces, "source", {.unknown = 1, .fuse_unknown = true, .byte_fallback = true}),
      without(pieces, "source", {.byte_fallback = true});
  CHECK(encode(partly, "aéüüa") == tokens{0, 2, 3, 1, 1, 0});
  CHECK(encode(fused, "aéüüa") == tokens{0, 2, 3, 1, 0});
  CHECK(encode(fused, "üéa") == tokens{2, 3, 1, 0});  // the unknown token waits for a known character
  check_mentions(message_of<value_error>([&] { encode(without, "ü"); }), "'ü'");
}

TEST_CASE("a model may leave out what it lacks, and says which bytes these are") {
  std::vector<std::string> pieces;
  for (unsigned b = 0; b != 256; ++b)
    text::append_byte_character(pieces.emplace_back(), static_cast<unsigned char>(b));
  CHECK(text::bpe_model(pieces, "source", {}).bytes_without_token().empty());
  for (const unsigned never : {0xC0u, 0xC1u, 0xF5u, 0xFFu}) pieces[never].clear();  // in UTF-8
  CHECK(text::bpe_model(pieces, "source", {}).bytes_without_token().empty());
  pieces[0x04].clear(), pieces[0xF1].clear();
  text::bpe_model model(pieces, "source", {.drop_unknown = true});
  CHECK(model.bytes_without_token() == std::vector<std::uint8_t>{0x04, 0xF1});
  check_mentions(message_of<io_error>([&] { model.require_byte_alphabet("the/file"); }), "the/file", "0x04, 0xf1");
  CHECK(encode(model, "a" + pieces[0xF2] + "Ą") == tokens{'a', 0xF2});
}

TEST_CASE("a token without a text is not found") {
  const text::bpe_model model({"", "a", ""}, "source", {.whole_words = true});
  CHECK(model.size() == 3);
  CHECK_FALSE(model.find("").has_value());
  CHECK(encode(model, "a") == tokens{1});
}

TEST_CASE("what does not fit together is refused") {
  check_mentions(message_of<io_error>([] {
                   text::bpe_model({"a", "b", "a"}, "the/file", {});
                 }),
                 "the/file", "token 2", "'a' is token 0 already");
  for (const std::uint32_t unknown : {1u, 2u})
    check_mentions(message_of<io_error>([&] {
                     text::bpe_model({"a", ""}, "the/file", {.unknown = unknown});
                   }),
                   "the/file", "unknown token", std::to_string(unknown));
  text::bpe_model model({"a", "b", "ab"}, "the/file", {});
  model.add_merge("a", "b", "here");
  check_mentions(message_of<io_error>([&] { model.add_merge("a", "b", "there"); }), "there", "merge already");
  check_mentions(message_of<io_error>([&] { model.add_merge("b", "a", "there"); }), "there", "no token 'ba'");
  check_mentions(message_of<io_error>([&] { model.add_merge("x", "a", "there"); }), "there", "no token 'x'");
  CHECK(model.merges() == 1);
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/tokenizer_steps.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using io::json;
using parts = std::vector<std::string>;

namespace {

std::string normalized(std::string_view step, std::string text) {
  return text::read_normalizer(json::parse(step), "the/file")(std::move(text));
}
parts words(std::string_view step, std::string_view text, bool at_start = true) {
  text::text_pieces pieces(std::string(text), at_start);
  text::read_pre_tokenizer(json::parse(step), "the/file")(pieces);
  parts found;
  pieces.for_each([&](std::string_view piece) { found.emplace_back(piece); });
  return found;
}
parts decoded(std::string_view step, parts tokens) {
  text::read_decoder(json::parse(step), "the/file")(tokens);
  return tokens;
}
template <class Read>
std::string failure(Read read, std::string_view step) {
  return message_of<io_error>([&] { static_cast<void>(read(json::parse(step), "the/file")); });
}

}  // namespace

TEST_CASE("normalizers") {
  CHECK(normalized("null", "a") == "a");
  CHECK(normalized(R"({"type": "Prepend", "prepend": "▁"})", "a") == "▁a");
  CHECK(normalized(R"({"type": "Replace", "pattern": {"Regex": " +"}, "content": "_"})", "a  b") == "a_b");
  CHECK(normalized(R"({"type": "Replace", "pattern": {"String": "."}, "content": "_"})", "a.b") == "a_b");
  CHECK(normalized(R"({"type": "NFC"})", "e\u0301") == "é");
  CHECK(normalized(R"({"type": "NFD"})", "é") == "e\u0301");
  CHECK(normalized(R"({"type": "NFKC"})", "ﬁ") == "fi");
  CHECK(normalized(R"({"type": "NFKD"})", "ﬁé") == "fie\u0301");
  CHECK(normalized(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Prepend", "prepend": "x"}]})",
                   "e\u0301") == "xé");
  check_mentions(failure(text::read_normalizer, R"({"type": "Lowercase"})"), "the/file", "'Lowercase'",
                 "Sequence, Prepend, Replace, NFC");
  check_mentions(failure(text::read_normalizer, R"({"type": "Sequence", "normalizers": [{"type": "Strip"}]})"),
                 "'Strip'");
  check_mentions(failure(text::read_normalizer, R"({"type": "Replace", "content": "_"})"), "\"pattern\" is missing");
  check_mentions(failure(text::read_normalizer, R"({"type": "Replace", "pattern": {"String": ""}, "content": "_"})"),
                 "empty");
  check_mentions(failure(text::read_normalizer, R"({"type": "Replace", "pattern": {"Glob": "*"}, "content": "_"})"),
                 "Glob");
  check_mentions(failure(text::read_normalizer, R"("NFC")"), "the/file", "string");
}

TEST_CASE("pre-tokenizers") {
  CHECK(words("null", "a b") == parts{"a b"});
  CHECK(words(R"({"type": "ByteLevel"})", "a b") == parts{"Ġa", "Ġb"});  // as the defaults are
  CHECK(words(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})", "a b") == parts{"aĠb"});
  const auto split = [](std::string_view behavior, bool invert) {
    return json{{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", behavior}, {"invert", invert}}.dump();
  };
  CHECK(words(split("Removed", false), "a--b") == parts{"a", "b"});
  CHECK(words(split("Removed", true), "a--b") == parts{"-", "-"});
  CHECK(words(split("Isolated", false), "a--b") == parts{"a", "-", "-", "b"});
  CHECK(words(split("MergedWithPrevious", false), "a--b") == parts{"a-", "-", "b"});
  CHECK(words(split("MergedWithNext", false), "a--b") == parts{"a", "-", "-b"});
  CHECK(words(split("Contiguous", false), "a--b") == parts{"a", "--", "b"});
  CHECK(words(R"({"type": "Digits", "individual_digits": true})", "a12½") == parts{"a", "1", "2", "½"});
  CHECK(words(R"({"type": "Digits", "individual_digits": false})", "a12½") == parts{"a", "12½"});
  CHECK(words(R"({"type": "Punctuation"})", "a.$€—b") == parts{"a", ".", "$", "€", "—", "b"});
  CHECK(words(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a!`~^|b") == parts{"a", "!`~^|", "b"});
  CHECK(words(R"({"type": "Metaspace", "replacement": "_"})", "a b") == parts{"_a", "_b"});
  CHECK(words(R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false})", "a b") == parts{"a", "_b"});
  CHECK(words(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "never"})", "a b") == parts{"a", "_b"});
  CHECK(words(R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"})", "a", false) == parts{"a"});
  CHECK(words(R"({"type": "Metaspace", "replacement": "_", "split": false})", "a b") == parts{"_a_b"});
  CHECK(words(R"({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]})", "a1") ==
        parts{"Ġa", "Ġ1"});
  check_mentions(failure(text::read_pre_tokenizer, R"({"type": "BertPreTokenizer"})"), "'BertPreTokenizer'",
                 "Metaspace");
  check_mentions(failure(text::read_pre_tokenizer, R"({"type": "Metaspace", "replacement": ""})"), "replacement");
  check_mentions(
      failure(text::read_pre_tokenizer, R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})"),
      "prepend_scheme", "'last'");
  check_mentions(failure(text::read_pre_tokenizer, R"({"type": "ByteLevel", "use_regex": 1})"), "use_regex");
}

TEST_CASE("decoders") {
  CHECK(decoded("null", {"a", "b"}) == parts{"a", " b"});
  CHECK(decoded(R"({"type": "ByteLevel"})", {"Ġa"}) == parts{" a"});
  CHECK(decoded(R"({"type": "ByteFallback"})", {"<0x41>"}) == parts{"A"});
  CHECK(decoded(R"({"type": "Fuse"})", {"a", "b"}) == parts{"ab"});
  CHECK(decoded(R"({"type": "Replace", "pattern": {"String": "▁"}, "content": " "})", {"▁a"}) == parts{" a"});
  CHECK(decoded(R"({"type": "Strip", "content": " ", "start": 1, "stop": 0})", {"  a "}) == parts{" a "});
  CHECK(decoded(R"({"type": "Metaspace", "replacement": "▁"})", {"▁a", "▁b"}) == parts{"a", " b"});
  CHECK(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})", {"▁a"}) == parts{" a"});
  CHECK(decoded(R"({"type": "Sequence", "decoders": [{"type": "ByteLevel"}, {"type": "Fuse"}]})", {"Ġa", "b"}) ==
        parts{" ab"});
  check_mentions(failure(text::read_decoder, R"({"type": "CTC"})"), "'CTC'");
  check_mentions(failure(text::read_decoder, R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": " "})"),
                 "Regex");
  check_mentions(failure(text::read_decoder, R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})"),
                 "start");
}

TEST_CASE("templates") {
  using ids = std::vector<std::uint32_t>;
  const auto read = [](std::string_view step) { return text::read_post_processor(json::parse(step), "the/file"); };
  CHECK(read("null").before.empty());
  CHECK(read(R"({"type": "ByteLevel"})").after.empty());
  constexpr std::string_view both = R"({"type": "TemplateProcessing", "pair": [],
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
      "special_tokens": {"<s>": {"ids": [7, 8]}, "</s>": {"ids": [9]}}})";
  CHECK(read(both).before == ids{7, 8});
  CHECK(read(both).after == ids{9});

  const auto single = [](std::string_view items) {
    return R"({"type": "TemplateProcessing", "special_tokens": {}, "single": )" + std::string(items) + "}";
  };
  check_mentions(failure(text::read_post_processor, single("[]")), "without the text");
  check_mentions(failure(text::read_post_processor, single("7")), "single");
  check_mentions(failure(text::read_post_processor, single(R"([{"SpecialToken": {"id": "<s>"}}])")), "<s>");
  check_mentions(failure(text::read_post_processor, single(R"([{"Sequence": {}}, {"Sequence": {}}])")), "twice");
  check_mentions(failure(text::read_post_processor, single(R"([{"Text": {}}])")), "Text");
  check_mentions(failure(text::read_post_processor, R"({"type": "RobertaProcessing"})"), "'RobertaProcessing'");
}

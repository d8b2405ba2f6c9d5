// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/tokenizer_json.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/naive_byte_level_bpe.hpp>
#include <support/tokenizer_json_files.hpp>
#include <zoqat/text/byte_level_bpe.hpp>
#include <zoqat/text/open_tokenizer.hpp>
#include <zoqat/text/unicode.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using io::json;
using text::special_spelling;
using tokens = std::vector<std::uint32_t>;

namespace {

text::bpe_tokenizer parse(const json& object, const text::tokenizer_json_options& options = {}) {
  return text::parse_tokenizer_json(object, "the/file", options);
}
json byte_level() { return byte_level_json(byte_level_files(small_merges())); }
json marked() {
  return marked_json({"▁", "a", "b", "▁a", "ab", "▁ab"}, {{"▁", "a"}, {"a", "b"}, {"▁a", "b"}, {"▁", "ab"}});
}

// The file with the member at `pointer` replaced.
json with(json object, const char* pointer, json value) {
  object[json::json_pointer(pointer)] = std::move(value);
  return object;
}
std::string failure(const json& object) {
  return message_of<io_error>([&] { parse(object); });
}

constexpr std::string_view llama3_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

json split_then_bytes(std::string_view words) {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"}, {"pattern", {{"Regex", words}}}, {"behavior", "Isolated"}, {"invert", false}},
            {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}}}}};
}

}  // namespace

TEST_CASE("GPT-2's kind gives what vocab.json and merges.txt give") {
  const byte_level_files files(small_merges());
  const auto plain = text::parse_byte_level_bpe(files.vocab_json(), "vocabulary", files.merges_txt(), "merges");
  const auto tokenizer = parse(byte_level());
  CHECK(tokenizer.size() == plain.size() + 1);
  for (const std::string& text : troublesome_texts()) {
    CAPTURE(text);
    const auto encoded = tokenizer.encode(text, false, special_spelling::off);
    CHECK(encoded == plain.encode(text, false, special_spelling::off));
    CHECK(tokenizer.decode(encoded) == text);
  }
}

TEST_CASE("merges are strings or pairs") {
  auto pairs = json::array();
  for (const auto& [left, right] : small_merges()) pairs.push_back({left, right});
  const auto strings = parse(byte_level()), arrays = parse(with(byte_level(), "/model/merges", pairs));
  for (const std::string& text : troublesome_texts())
    CHECK(arrays.encode(text, false) == strings.encode(text, false));
}

TEST_CASE("LLaMA 3's kind: a pattern before the bytes, whole words, BOS by the template") {
  auto object = with(byte_level(), "/pre_tokenizer", split_then_bytes(llama3_words));
  object = with(object, "/post_processor", json::parse(R"({"type": "Sequence", "processors": [
      {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
      {"type": "TemplateProcessing", "pair": [],
       "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                  {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}],
       "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [273], "tokens": ["<|endoftext|>"]}}}]})"));
  const auto tokenizer = parse(object);
  REQUIRE(tokenizer.size() == 274);
  CHECK(tokenizer.bos() == 273u);
  CHECK(tokenizer.eos() == 273u);
  CHECK(tokenizer.encode("", true) == tokens{273});
  const auto id = [&](std::string_view piece) { return tokenizer.model().find(piece).value(); };
  CHECK(tokenizer.encode("1234", false) == tokens{id("123"), id("4")});
  CHECK(tokenizer.encode("12 x\n\n", false) == tokens{id("12"), id("Ġ"), id("x"), id("ĊĊ")});
  for (const std::string& text : troublesome_texts())
    CHECK(tokenizer.decode(tokenizer.encode(text, false, special_spelling::off)) == text);

  // No merges lead to "bab", but it is a word of the vocabulary.
  auto more = with(object, "/model/vocab/bab", 274);
  CHECK(parse(more).encode("bab", false) == tokens{id("b"), id("ab")});
  CHECK(parse(with(more, "/model/ignore_merges", true)).encode("bab", false) == tokens{274});
}

TEST_CASE("LLaMA 2's kind: marks for spaces, bytes for what is unknown") {
  const auto tokenizer = parse(marked());
  const auto id = [&](std::string_view piece) { return tokenizer.model().find(piece).value(); };
  CHECK(tokenizer.bos() == 1u);
  CHECK_FALSE(tokenizer.eos().has_value());
  CHECK(tokenizer.encode("", true) == tokens{1});
  CHECK(tokenizer.encode("ab a", true) == tokens{1, id("▁ab"), id("▁a")});
  CHECK(tokenizer.encode("é", false) == tokens{id("▁"), 3 + 0xc3, 3 + 0xa9});
  CHECK(tokenizer.encode("a</s>a", false, special_spelling::on) == tokens{id("▁a"), 2, id("▁a")});
  for (const std::string& text : troublesome_texts()) {
    CAPTURE(text);
    if (text.find("▁") != std::string::npos) continue;  // becomes a space
    CHECK(tokenizer.decode(tokenizer.encode(text, true, special_spelling::off)) == text);
  }
}

TEST_CASE("Metaspace in place of a normalizer") {
  const json metaspace{{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
  auto object = with(with(marked(), "/normalizer", nullptr), "/pre_tokenizer", metaspace);
  object = with(object, "/decoder", metaspace);
  const auto tokenizer = parse(object);
  CHECK(tokenizer.encode("ab a", true) == parse(marked()).encode("ab a", true));
  const auto id = [&](std::string_view piece) { return tokenizer.model().find(piece).value(); };
  CHECK(tokenizer.encode("a</s>a", false, special_spelling::on) == tokens{id("▁a"), 2, id("a")});
  CHECK(tokenizer.decode(tokenizer.encode("ab a", true)) == "ab a");
}

TEST_CASE("characters without a token: unknown, fused or not, or an error") {
  const auto object = with(with(marked(), "/model/byte_fallback", false), "/normalizer", nullptr);
  CHECK(parse(object).encode("aéü", false) == tokens{260, 0});
  CHECK(parse(with(object, "/model/fuse_unk", false)).encode("aéü", false) == tokens{260, 0, 0});
  const auto none = parse(with(object, "/model/unk_token", nullptr));
  check_mentions(message_of<value_error>([&] { static_cast<void>(none.encode("aé", false)); }), "'é'");
}

TEST_CASE("added tokens: special or not, before and after normalization") {
  auto object = with(byte_level(), "/normalizer", {{"type", "NFKC"}});
  object["added_tokens"].push_back(added_token_json(274, "<user>", false));
  object["added_tokens"].push_back(added_token_json(275, "ﬁn", false));
  object["added_tokens"][2]["normalized"] = true;
  const auto tokenizer = parse(object);
  CHECK(tokenizer.size() == 276);
  CHECK(tokenizer.encode("<user>fin<|endoftext|>", false, special_spelling::off).size() ==
        2 + std::string_view("<|endoftext|>").size());
  const tokens all{274, 275, 273};
  CHECK(tokenizer.encode("<user>fin<|endoftext|>", false, special_spelling::on) == all);
  CHECK(tokenizer.encode("<user>ﬁn<|endoftext|>", false, special_spelling::on) == all);
  CHECK(tokenizer.decode(all) == "<user>ﬁn");
  CHECK(tokenizer.decode(all, special_spelling::on) == "<user>ﬁn<|endoftext|>");
}

TEST_CASE("an added token may have an id between the model's") {
  auto object = marked();
  object["model"]["vocab"].erase("<s>");
  const auto with_hole = parse(object), without = parse(marked());
  CHECK(with_hole.encode("a<s>", true, special_spelling::on) == without.encode("a<s>", true, special_spelling::on));
  check_mentions(failure(with(object, "/added_tokens", json::array())), "no token has the id 1");
}

TEST_CASE("BOS and EOS by name") {
  const auto tokenizer = parse(marked(), {.bos = "</s>", .eos = "<unk>"});
  CHECK(tokenizer.bos() == 2u);
  CHECK(tokenizer.eos() == 0u);
  CHECK(tokenizer.encode("", true) == tokens{1});  // what the template says
  check_mentions(message_of<io_error>([] { parse(marked(), {.eos = "<end>"}); }), "the/file", "'<end>'");
}

TEST_CASE("how texts were cut and filled up does not change how one is encoded") {
  json settled = byte_level();
  settled["truncation"] = {{"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}, {"direction", "Right"}};
  settled["padding"] = {{"strategy", {{"Fixed", 64}}}, {"pad_id", 0}, {"pad_token", "<|endoftext|>"}};
  CHECK(parse(settled).encode("a text of more than two tokens", true) ==
        parse(byte_level()).encode("a text of more than two tokens", true));
}

TEST_CASE("what is not known is refused by name") {
  const json good = byte_level();
  const auto check = [&](const char* pointer, const json& value, const auto&... parts) {
    CAPTURE(std::string(pointer));
    check_mentions(failure(with(good, pointer, value)), "the/file", parts...);
  };
  check("/model/type", "Unigram", "BPE", "Unigram");
  check("/model/dropout", 0.1, "dropout");
  check("/model/continuing_subword_prefix", "##", "continuing_subword_prefix");
  check("/model/end_of_word_suffix", "</w>", "end_of_word_suffix");
  check("/model/surprise", 1, "surprise");
  check("/surprise", 1, "surprise");
  check("/normalizer", {{"type", "Lowercase"}}, "normalizer", "'Lowercase'", "Prepend");
  check("/normalizer", {{"type", "NFC"}, {"more", 1}}, "\"more\"");
  check("/pre_tokenizer", {{"type", "Whitespace"}}, "pre-tokenizer", "'Whitespace'");
  check("/pre_tokenizer/surprise", true, "ByteLevel", "surprise");
  check("/decoder", {{"type", "WordPiece"}}, "decoder", "'WordPiece'");
  check("/post_processor", {{"type", "BertProcessing"}}, "post-processor", "'BertProcessing'");
  check("/added_tokens/0/single_word", true, "<|endoftext|>", "single_word");
  check("/added_tokens/0/surprise", true, "surprise");
}

TEST_CASE("what is malformed is refused with its place") {
  const json good = byte_level();
  const auto check = [&](const char* pointer, const json& value, const auto&... parts) {
    CAPTURE(std::string(pointer));
    check_mentions(failure(with(good, pointer, value)), "the/file", parts...);
  };
  check_mentions(failure(json::array()), "the/file", "object");
  check_mentions(failure(json::object()), "\"model\" is missing");
  check("/model", {{"type", "BPE"}}, "\"vocab\"");
  check("/model/vocab", json::object(), "no token has the id 0");
  check("/model/vocab/a", "x", "\"a\"", "\"x\"");
  check("/model/vocab/new", 300, "no token has the id 274");
  check("/model/vocab/a", 5, "both token 5");
  check("/model/merges", 7, "merges");
  check("/model/merges/2", "ab", "merge 2", "'ab'");
  check("/model/merges/2", {"a", 1}, "merge 2", "[\"a\",1]");
  check("/model/merges/2", {"a", "x y"}, "merge 2", "'x y'");
  check("/model/unk_token", "<unk>", "unk_token", "'<unk>'");
  check("/model/type", 7, "\"type\"", "7");
  check("/pre_tokenizer/type", {1}, "\"type\"", "[1]");
  check("/decoder/type", 7, "\"type\"", "7");
  check("/added_tokens", 7, "added_tokens");
  check("/added_tokens/0/content", "", "content");
  check("/added_tokens/0/id", -1, "\"id\"");
  check("/added_tokens/0/id", 7, "both token 7");
  check("/added_tokens/0/content", "a", "'a'", "token 273");
  check("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}}, "'(a'");
  check("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Often"}}, "'Often'");
  check("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", 1}}, "pretokenizers");
  for (const char* part : {"/decoder", "/pre_tokenizer", "/normalizer", "/post_processor", "/model"})
    check(part, {{"type", 3}}, "\"type\" must be a string", "3");
}

TEST_CASE("byte-level texts lose the bytes that the vocabulary lacks, which the tokenizer names") {
  auto lacking = with(byte_level(), "/model/merges", json::array());
  lacking["model"]["vocab"].erase("Ċ");
  lacking["model"]["vocab"]["new"] = byte_level()["model"]["vocab"]["Ċ"];
  const auto tokenizer = parse(lacking);
  CHECK(tokenizer.dropped_bytes().size() == 1);
  CHECK(tokenizer.dropped_bytes()[0] == '\n');
  CHECK(tokenizer.encode("a\nb", false) == tokenizer.encode("ab", false));
  CHECK(parse(byte_level()).dropped_bytes().empty());
}

TEST_CASE("whether texts begin and end with tokens of their own may be said beside the file") {
  CHECK(parse(marked(), {.eos = "</s>", .add_bos = false}).encode("", true).empty());
  const auto both = parse(marked(), {.bos = "<s>", .eos = "</s>", .add_bos = true, .add_eos = true});
  CHECK(both.encode("", true) == tokens{1});
  CHECK(both.suffix().size() == 1);
  CHECK(both.suffix()[0] == 2);
  check_mentions(message_of<io_error>([] { parse(marked(), {.add_eos = true}); }), "the/file", "does not name");
}

TEST_CASE("published vocabularies: as the definition says on real and troublesome text") {
  const auto text_path = shared_data("data/tinystories/tinystories_valid_30k.txt");
  for (const std::string name : {"smollm", "pythia"}) {
    CAPTURE(name);
    const auto path = shared_data("tokenizers/" + name + "/tokenizer.json");
    if (!path || !text_path) return;
    const auto tokenizer = text::read_tokenizer_json(*path);
    const json object = io::read_json(*path);
    std::vector<std::pair<std::string, std::string>> merges;
    for (const json& merge : object["model"]["merges"]) {
      const auto line = merge.is_array() ? merge[0].get<std::string>() + ' ' + merge[1].get<std::string>()
                                         : merge.get<std::string>();
      const auto space = line.find(' ');
      merges.emplace_back(line.substr(0, space), line.substr(space + 1));
    }
    const naive_byte_level_bpe oracle(object["model"]["vocab"].get<std::map<std::string, std::uint32_t>>(), merges);
    // SmolLM puts every digit on its own before words are cut; Pythia brings texts to NFC, and has tokens for runs of
    // spaces, which these texts lack.
    const auto expected = [&](const std::string& text) {
      if (name == "pythia") return oracle.encode(text::normalize(text, text::unicode_form::nfc));
      tokens all;
      std::string part;
      const auto flush = [&] {
        const auto encoded = oracle.encode(part);
        all.insert(all.end(), encoded.begin(), encoded.end());
        part.clear();
      };
      for (const char c : text) {
        const bool digit = c >= '0' && c <= '9';
        if (digit) flush();
        part += c;
        if (digit) flush();
      }
      flush();
      return all;
    };
    std::string text = read_file(*text_path);
    text.erase(std::unique(text.begin(), text.end(), [](char a, char b) { return a == ' ' && b == ' '; }),
               text.end());
    for (const std::string& t :
         {text, std::string("a\x04z\x06"), std::string("In 2024, 3.14 isn't 42!"),
          std::string("e\u0301 \u00e9 na\u00efve \u4e2d\u6587"), std::string("tab\there\r\n\n\nend ")}) {
      CAPTURE(t.substr(0, 40));
      CHECK(tokenizer.encode(t, false) == expected(t));
    }
    CHECK(tokenizer.encode("<|endoftext|>a", false).front() == 0);
    CHECK(tokenizer.decode(tokenizer.encode(text, false)) == text);
    CHECK(tokenizer.dropped_bytes().size() == (name == "smollm" ? 8 : 0));
  }
}

TEST_CASE("a vocabulary with byte fallback and no tokens of bytes has an unknown token for the rest") {
  const auto path = shared_data("tokenizers/story/tokenizer.json");
  if (!path) return;
  const auto tokenizer = text::open_tokenizer(path->parent_path());
  CHECK(tokenizer.bos() == 1u);
  CHECK(tokenizer.eos() == 2u);
  CHECK(tokenizer.suffix().empty());
  const auto plain = tokenizer.encode("Once upon a time", true);
  CHECK(plain.front() == 1);
  CHECK(tokenizer.decode(plain) == "Once upon a time");
  const auto unknown = tokenizer.encode("Once \u4e2d\u6587 upon", true);
  CHECK(std::ranges::count(unknown, 0u) == 1);  // fused
}

TEST_CASE("a file is read") {
  const temporary_folder folder;
  write_file(folder / "tokenizer.json", byte_level().dump());
  CHECK(text::read_tokenizer_json(folder / "tokenizer.json").encode("aba", false) ==
        parse(byte_level()).encode("aba", false));
  write_file(folder / "tokenizer.json", "{");
  check_mentions(
      message_of<io_error>([&] { static_cast<void>(text::read_tokenizer_json(folder / "tokenizer.json")); }),
      "tokenizer.json", "not valid JSON");
}

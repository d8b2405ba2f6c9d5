// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/byte_level_bpe.hpp>

#include <doctest/doctest.h>
#include <support/byte_level_files.hpp>
#include <support/corruption.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <zoqat/random/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using text::special_spelling;
using tokens = std::vector<std::uint32_t>;

namespace {

const std::vector<std::string> specials{"<s>", "<pad>", "</s>", "<unk>", "<|endoftext|>"};

text::bpe_tokenizer parse(std::string_view vocabulary, std::string_view merges,
                          const text::byte_level_bpe_options& options = {}) {
  return text::parse_byte_level_bpe(vocabulary, "the/vocab", merges, "the/merges", options);
}
text::bpe_tokenizer small_tokenizer(const text::byte_level_bpe_options& options = {}) {
  const byte_level_files files(small_merges(), specials);
  return parse(files.vocab_json(), files.merges_txt(), options);
}
std::string failure(std::string_view vocabulary, std::string_view merges) {
  return message_of<io_error>([&] { parse(vocabulary, merges); });
}

}  // namespace

TEST_CASE("small: troublesome texts are encoded as the definition says and come back byte for byte") {
  const byte_level_files files(small_merges(), specials);
  const auto tokenizer = parse(files.vocab_json(), files.merges_txt());
  const auto oracle = naive_tokenizer(files.vocab_json(), files.merges_txt());
  for (const std::string& text : troublesome_texts()) {
    CAPTURE(text);
    const auto encoded = tokenizer.encode(text, false, special_spelling::off);
    CHECK(encoded == oracle.encode(text));
    CHECK(tokenizer.decode(encoded) == text);
  }
}

TEST_CASE("small: so are random mixtures of their bytes") {
  const byte_level_files files(small_merges(), specials);
  const auto tokenizer = parse(files.vocab_json(), files.merges_txt());
  const auto oracle = naive_tokenizer(files.vocab_json(), files.merges_txt());
  const auto texts = troublesome_texts();
  rng::engine engine({.seed = 4, .use = rng::purpose::data});
  for (int round = 0; round != 3'000; ++round) {
    std::string text;
    for (std::uint32_t part = engine.below(8); part != 0; --part) {
      const std::string& from = texts[engine.below(static_cast<std::uint32_t>(texts.size()))];
      const std::size_t begin = engine.below(static_cast<std::uint32_t>(from.size() + 1));
      text.append(from, begin, 1 + engine.below(9));  // cuts characters in two
    }
    CAPTURE(text);
    // A cut can make a character that the oracle's table lacks.
    std::optional<tokens> expected;
    try {
      expected = oracle.encode(text);
    } catch (const std::out_of_range&) {
    }
    const auto encoded = tokenizer.encode(text, false, special_spelling::off);
    if (expected) REQUIRE(encoded == *expected);
    REQUIRE(tokenizer.decode(encoded) == text);
  }
}

TEST_CASE("words merge by rank, not by length or place") {
  const auto tokenizer = small_tokenizer();
  const auto ids = [&](std::initializer_list<std::string_view> pieces) {
    tokens all;
    for (const auto piece : pieces) all.push_back(tokenizer.model().find(piece).value());
    return all;
  };
  CHECK(tokenizer.encode("aba", false) == ids({"aba"}));
  CHECK(tokenizer.encode(" ab", false) == ids({"Ġ", "ab"}));  // "ab" ranks before " a"
  CHECK(tokenizer.encode("baa", false) == ids({"ba", "a"}));
  CHECK(tokenizer.encode("aaaaa", false) == ids({"aaaa", "a"}));
  CHECK(tokenizer.encode("1234", false) == ids({"123", "4"}));
  CHECK(tokenizer.encode("a   b", false) == ids({"a", "ĠĠ", "Ġ", "b"}));
  CHECK(tokenizer.encode("b's", false) == ids({"b", "'s"}));
}

TEST_CASE("special tokens are text unless asked for") {
  const auto tokenizer = small_tokenizer();
  const std::uint32_t end = tokenizer.model().find("</s>").value();
  CHECK(tokenizer.bos() == end);  // as OPT does
  CHECK(tokenizer.eos() == end);
  CHECK(tokenizer.encode("", true) == tokens{end});
  CHECK(tokenizer.encode("", false).empty());

  const std::string text = "a</s>b";
  const auto plain = tokenizer.encode(text, true, special_spelling::off);
  CHECK(plain.size() == 1 + text.size());
  CHECK(tokenizer.decode(plain) == text);
  const auto special = tokenizer.encode(text, false, special_spelling::on);
  CHECK(special == tokens{tokenizer.encode("a", false)[0], end, tokenizer.encode("b", false)[0]});
  CHECK(tokenizer.decode(special) == "ab");
  CHECK(tokenizer.decode(special, special_spelling::on) == text);
}

TEST_CASE("whether texts begin and end with tokens of their own may be said") {
  const auto usual = small_tokenizer(), none = small_tokenizer({.add_bos = false}),
             both = small_tokenizer({.add_bos = true, .add_eos = true});
  CHECK(usual.encode("", true) == tokens{usual.bos().value()});
  CHECK(usual.suffix().empty());
  CHECK(none.encode("", true).empty());
  CHECK(none.bos() == usual.bos());
  CHECK(both.encode("", true) == tokens{usual.bos().value()});
  CHECK(both.suffix().size() == 1);
  CHECK(both.suffix()[0] == usual.eos());
}

TEST_CASE("BOS and EOS: GPT-2's, those asked for, or none") {
  const byte_level_files gpt2(small_merges(), {"<|endoftext|>"}), none(small_merges());
  const auto first = parse(gpt2.vocab_json(), gpt2.merges_txt());
  CHECK(first.bos() == gpt2.vocabulary.size() - 1);
  const auto second = parse(none.vocab_json(), none.merges_txt());
  CHECK_FALSE(second.bos().has_value());
  CHECK(second.encode("a", true) == second.encode("a", false));

  const auto asked = small_tokenizer({.bos = "<s>", .eos = "<|endoftext|>"});
  CHECK(asked.encode("", true) == tokens{asked.model().find("<s>").value()});
  CHECK(asked.eos() == asked.model().find("<|endoftext|>"));
  check_mentions(message_of<io_error>([] { small_tokenizer({.bos = "<begin>"}); }), "the/vocab", "'<begin>'");
}

TEST_CASE("a space in front, for vocabularies that want one") {
  const auto tokenizer = small_tokenizer({.prefix_space = true}), plain = small_tokenizer();
  CHECK(tokenizer.encode("ab", false) == plain.encode(" ab", false));
  CHECK(tokenizer.encode(" ab", false) == plain.encode(" ab", false));
  CHECK(tokenizer.encode("", false).empty());
}

TEST_CASE("merges.txt: the heading, '#' as a piece, CR LF, no last line end") {
  const byte_level_files files(merge_list{{"#", "#"}, {"a", "b"}});
  for (const std::string_view merges : {"#version: 0.2\n# #\na b\n", "# #\na b", "#version: 0.2\r\n# #\r\na b\r\n"}) {
    CAPTURE(merges);
    CHECK(parse(files.vocab_json(), merges).encode("##ab", false) == tokens{256, 257});
  }
}

TEST_CASE("a word of a million letters takes no quadratic time") {
  const auto tokenizer = small_tokenizer();
  const std::string text(1'000'000, 'a');
  CHECK(tokenizer.encode(text, false) == tokens(text.size() / 4, tokenizer.model().find("aaaa").value()));
}

TEST_CASE("malformed files are named with the line and the value") {
  const byte_level_files files(small_merges(), specials);
  const std::string vocabulary = files.vocab_json();
  const auto with = [&](std::string_view key, const io::json& value) {
    auto changed = files.vocabulary;
    changed[key] = value;
    return changed.dump();
  };
  check_mentions(failure("{", ""), "the/vocab", "not valid JSON");
  check_mentions(failure("[]", ""), "the/vocab", "object", "array");
  check_mentions(failure("{}", ""), "the/vocab", "empty");
  check_mentions(failure(with("new", 1000), ""), "the/vocab", "no token has the id 278", "1000", "'new'");
  check_mentions(failure(with("new", 7), ""), "the/vocab", "'new'", "both token 7");
  check_mentions(failure(with("new", -1), ""), "\"new\"", "-1");
  check_mentions(failure(with("new", 0.5), ""), "\"new\"", "0.5");
  check_mentions(failure(with("new", 1 << 24), ""), "'new'", "16777216");
  check_mentions(failure(with("", 278), ""), "token 278 is empty");
  auto lacking = files.vocabulary;
  lacking.erase("Ċ");
  lacking["new"] = files.vocabulary["Ċ"];
  check_mentions(failure(lacking.dump(), ""), "the/vocab", "without a token: 0x0a");

  check_mentions(failure(vocabulary, "#version: 0.2\na b\na x y\n"), "the/merges", "line 3", "'a x y'");
  check_mentions(failure(vocabulary, "ab\n"), "line 1", "'ab'");
  check_mentions(failure(vocabulary, " b\n"), "line 1", "' b'");
  check_mentions(failure(vocabulary, "a \n"), "line 1", "'a '");
  check_mentions(failure(vocabulary, "a b\n\nxyz b\n"), "line 3", "no token 'xyz'");
  check_mentions(failure(vocabulary, "a b\nb xyz\n"), "line 2", "no token 'xyz'");
  check_mentions(failure(vocabulary, "b b\n"), "line 1", "'b' and 'b'", "no token 'bb'");
  check_mentions(failure(vocabulary, "a b\nb a\na b\n"), "line 3", "merge already");
}

TEST_CASE("tokens that are not in the vocabulary are refused") {
  const auto tokenizer = small_tokenizer();
  CHECK(tokenizer.decode(tokens{}).empty());
  check_mentions(message_of<value_error>([&] { static_cast<void>(tokenizer.decode(tokens{0, 5000})); }), "5000");
}

TEST_CASE("every truncation of the merges is rejected or loads") {
  const byte_level_files files(small_merges());
  const corruptions merges{files.merges_txt(), [&](std::span<const std::byte> bytes) {
                             parse(files.vocab_json(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
                           }};
  const auto result = merges.truncate();
  CHECK(result.loaded >= small_merges().size());
  CHECK(result.rejected > small_merges().size());
}

TEST_CASE("real vocabularies: as the definition says on real and troublesome text, and back") {
  for (const std::string folder : {"models/opt-layout-3m", "tokenizers/gpt2"}) {
    CAPTURE(folder);
    const auto vocabulary = shared_data(folder + "/vocab.json"), merges = shared_data(folder + "/merges.txt");
    const auto text_path = shared_data("data/wikitext-2/wiki.test.raw");
    if (!vocabulary || !merges || !text_path) return;
    const auto tokenizer = text::read_byte_level_bpe(*vocabulary, *merges);
    const auto oracle = naive_tokenizer(read_file(*vocabulary), read_file(*merges));
    for (const std::string& text : troublesome_texts()) {
      CAPTURE(text);
      const auto encoded = tokenizer.encode(text, false, special_spelling::off);
      CHECK(encoded == oracle.encode(text));
      CHECK(tokenizer.decode(encoded) == text);
    }
    const std::string text = read_file(*text_path).substr(0, most_real_text);
    const auto encoded = tokenizer.encode(text, false);
    CHECK(tokenizer.decode(encoded) == text);
    CHECK(encoded == oracle.encode(text));
  }
}

TEST_CASE("GPT-2's own tokens") {
  const auto vocabulary = shared_data("tokenizers/gpt2/vocab.json"),
             merges = shared_data("tokenizers/gpt2/merges.txt");
  if (!vocabulary || !merges) return;
  const auto tokenizer = text::read_byte_level_bpe(*vocabulary, *merges);
  CHECK(tokenizer.size() == 50'257);
  CHECK(tokenizer.bos() == 50'256u);
  CHECK(tokenizer.encode("Hello world", false) == tokens{15496, 995});
  CHECK(tokenizer.encode("Hello<|endoftext|>", true, special_spelling::on) == tokens{50256, 15496, 50256});
}

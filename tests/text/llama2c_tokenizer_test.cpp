// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/llama2c_tokenizer.hpp>

#include <doctest/doctest.h>
#include <support/corruption.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/naive_bpe.hpp>
#include <support/tiny_vocabulary.hpp>
#include <zoqat/random/stream.hpp>

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using text::llama2c_tokenizer;
using tokens = std::vector<std::uint32_t>;

namespace {

llama2c_tokenizer tokenizer_of(std::string_view file, std::optional<std::size_t> vocabulary = {}) {
  return {exact_bytes(file), "the/file", vocabulary};
}
std::string failure(std::string_view file, std::optional<std::size_t> vocabulary = {}) {
  return message_of<io_error>([&] { tokenizer_of(file, vocabulary); });
}

// English-like words, merges that overlap, pieces that span a space.
const std::vector<vocabulary_entry> small_vocabulary{
    {" ", -1},  {"a", -1},   {"b", -1},  {"ä", -1},    {"€", -1},   {"ab", -3}, {"ba", -2},
    {" a", -4}, {"aba", -5}, {"aa", -3}, {"aaaa", -4}, {"b a", -6}, {"b ", -7}, {"ä€", -2},
};

std::string random_text(rng::engine& engine, const std::vector<std::string>& parts, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i != count; ++i) text += parts[engine.below(static_cast<std::uint32_t>(parts.size()))];
  return text;
}

// Reads just enough of sentencepiece's protocol buffer to get at the pieces: field 1 of the file is a piece, whose
// fields 1 and 2 are its text and its score.
class protobuf_reader {
 public:
  explicit protobuf_reader(std::string_view bytes) : rest_(bytes) {}

  struct field {
    std::uint64_t number;
    std::string_view bytes;
  };
  [[nodiscard]] bool done() const { return rest_.empty(); }
  field next() {
    const auto key = varint();
    switch (key & 7) {
      case 0:
        return {key >> 3, (varint(), std::string_view())};
      case 1:
        return {key >> 3, take(8)};
      case 2:
        return {key >> 3, take(varint())};
      default:
        return {key >> 3, take(4)};
    }
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string_view take(std::uint64_t count) {
    REQUIRE(count <= rest_.size());
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::string_view rest_;
};

// What llama2.c's tokenizer.py makes of a sentencepiece model.
std::string llama2c_from_sentencepiece(const std::string& model) {
  std::vector<vocabulary_entry> entries;
  for (protobuf_reader file(model); !file.done();) {
    const auto [number, bytes] = file.next();
    if (number != 1) continue;
    auto& entry = entries.emplace_back();
    for (protobuf_reader piece(bytes); !piece.done();) {
      const auto [part, value] = piece.next();
      if (part == 1) entry.piece = value;
      if (part == 2) std::memcpy(&entry.score, value.data(), sizeof(entry.score));
    }
    constexpr std::string_view space = "\u2581";
    for (auto at = entry.piece.find(space); at != std::string::npos; at = entry.piece.find(space, at))
      entry.piece.replace(at, space.size(), " ");
  }
  entries.at(1).piece = "\n<s>\n";
  entries.at(2).piece = "\n</s>\n";
  return vocabulary_file(entries);
}

}  // namespace

TEST_CASE("a vocabulary is read with its scores, with its size given or not") {
  const auto file = tiny_vocabulary(small_vocabulary);
  const std::size_t size = 259 + small_vocabulary.size();
  for (const auto given : {std::optional<std::size_t>(), std::optional(size)}) {
    const auto tokenizer = tokenizer_of(file, given);
    CHECK(tokenizer.size() == size);
    CHECK(tokenizer.piece(264) == "ab");
    CHECK(tokenizer.score(264) == -3);
    CHECK(tokenizer.find("ab") == 264);
    CHECK_FALSE(tokenizer.find("abc").has_value());
  }
  CHECK(llama2c_tokenizer::bos() == 1);
  CHECK(llama2c_tokenizer::eos() == 2);
  CHECK(llama2c_tokenizer::byte(255) == 258);
}

TEST_CASE("texts are encoded as llama2.c does") {
  const auto tokenizer = tokenizer_of(tiny_vocabulary(small_vocabulary));
  const auto id = [&](std::string_view piece) { return tokenizer.find(piece).value(); };
  CHECK(tokenizer.encode("", false).empty());
  CHECK(tokenizer.encode("", true) == tokens{1});
  CHECK(tokenizer.encode("b", true) == tokens{1, id(" "), id("b")});
  CHECK(tokenizer.encode("ab", false) == tokens{id(" "), id("ab")});  // better than " a", and then nothing
  CHECK(tokenizer.encode("aba", false) == tokens{id(" a"), id("ba")});
  CHECK(tokenizer.encode("aaaa", false) == tokens{id(" "), id("aaaa")});
  CHECK(tokenizer.encode("b a", false) == tokens{id(" "), id("b a")});  // " a" first
  CHECK(tokenizer.encode("ä€", false) == tokens{id(" "), id("ä€")});
  CHECK(tokenizer.encode("c", false) == tokens{id(" "), 'c' + 3});
  CHECK(tokenizer.encode("é", false) == tokens{id(" "), 0xc3 + 3, 0xa9 + 3});
}

TEST_CASE("bytes that are no UTF-8, and zero bytes, survive") {
  const auto tokenizer = tokenizer_of(tiny_vocabulary(small_vocabulary));
  for (const std::string& text :
       {std::string("\0", 1), std::string("a\0b", 3), std::string("\xff\xfe"), std::string("\xc3"),
        std::string("\x80\x80\x80\x80\x80\x80"), std::string("\xe2\x82\xac\x80\x80"), std::string("a\x80")}) {
    CAPTURE(text.size());
    const auto encoded = tokenizer.encode(text, true);
    CHECK(encoded == naive_encode(tokenizer, text, true));
    CHECK(tokenizer.decode(encoded) == text);
  }
}

TEST_CASE("decoding follows llama2.c") {
  const auto tokenizer = tokenizer_of(tiny_vocabulary(small_vocabulary));
  const std::uint32_t space_a = 266, a = 260;
  REQUIRE(tokenizer.piece(space_a) == " a");
  CHECK(tokenizer.decode(tokens{}).empty());
  CHECK(tokenizer.decode(tokens{1}).empty());
  CHECK(tokenizer.decode(tokens{1, space_a, space_a}) == "a a");  // the space after BOS goes
  CHECK(tokenizer.decode(tokens{space_a, space_a}) == " a a");
  CHECK(tokenizer.decode(tokens{a, 1, space_a, 2}) == "aa");
  CHECK(tokenizer.decode(tokens{1, 0xc3 + 3, 0xa4 + 3}) == "ä");
  CHECK(tokenizer.decode(tokens{1, ' ' + 3, a}) == " a");  // a space as a byte is not the one of encode
  CHECK(tokenizer.decode(0, 'x' + 3) == "x");
  CHECK(tokenizer.decode(1, space_a) == "a");
  check_mentions(message_of<value_error>([&] { static_cast<void>(tokenizer.decode(tokens{1, 5000})); }), "5000");
}

TEST_CASE("scores of -1e10 and less do not merge, as in llama2.c") {
  const auto tokenizer = tokenizer_of(tiny_vocabulary({{" ", 0}, {"a", 0}, {"aa", -1e10f}, {" a", -2e10f}}));
  CHECK(tokenizer.encode("aa", false) == tokens{259, 260, 260});
}

TEST_CASE("of equal pieces the first counts") {
  const auto tokenizer = tokenizer_of(tiny_vocabulary({{" ", 0}, {"a", 0}, {"a", 0}, {" ", 0}}));
  CHECK(tokenizer.encode("a", false) == tokens{259, 260});
}

TEST_CASE("a copy of a tokenizer stands on its own") {
  std::optional<llama2c_tokenizer> original(tokenizer_of(tiny_vocabulary(small_vocabulary)));
  const llama2c_tokenizer copy(*original);
  original.reset();
  CHECK(copy.decode(copy.encode("ab ab", true)) == "ab ab");
}

TEST_CASE("malformed files are named with the token and the value") {
  const auto file = tiny_vocabulary(small_vocabulary);
  const auto at = [&](std::size_t offset, auto value) {
    auto changed = file;
    std::memcpy(changed.data() + offset, &value, sizeof(value));
    return changed;
  };
  check_mentions(failure(""), "the/file", "too short for a tokenizer: 0 bytes");
  check_mentions(failure(at(0, std::int32_t{0})), "the/file", "0 bytes");
  check_mentions(failure(at(0, std::int32_t{-1})), "-1 bytes");
  check_mentions(failure(at(0, std::int32_t{5})), "token 2", "length 6 is not in [1, 5]");
  check_mentions(failure(at(4, std::numeric_limits<float>::quiet_NaN())), "token 0", "score nan");
  check_mentions(failure(at(8, std::int32_t{0})), "the/file", "token 0", "length 0");
  check_mentions(failure(at(8, std::int32_t{-7})), "token 0", "length -7");
  check_mentions(failure(at(8, std::numeric_limits<std::int32_t>::max())), "token 0", "2147483647");
  check_mentions(failure(file.substr(0, 6)), "token 0", "ends within its score");
  check_mentions(failure(file.substr(0, 10)), "token 0", "ends within its length");
  check_mentions(failure(file.substr(0, 13)), "token 0", "ends within its piece");
  check_mentions(failure(file, 258), "the/file", "the last of 258 tokens is followed by");
  check_mentions(failure(file, 300), "token 273", "ends within its score");
  check_mentions(failure(vocabulary_file({{"<unk>", 0}, {"<s>", 0}})), "2 tokens", "259");

  auto spelled = std::vector<vocabulary_entry>(259, {"x", 0});
  check_mentions(failure(vocabulary_file(spelled)), "token 3", "'x'", "'<0x00>'");
}

TEST_CASE("every corruption of a vocabulary is rejected or loads harmlessly") {
  const corruptions file{tiny_vocabulary(small_vocabulary), [](std::span<const std::byte> bytes) {
                           const llama2c_tokenizer tokenizer(bytes, "the/file");
                           static_cast<void>(tokenizer.decode(tokenizer.encode("abaäaa€ b a", true)));
                         }};
  const std::size_t extra = 8 * small_vocabulary.size() + 29;  // the last entries may be missing whole
  const auto truncated = file.truncate();
  CHECK(truncated.loaded < small_vocabulary.size() + 1);
  CHECK(truncated.rejected > file.good.size() - extra);
  const std::size_t header = 4 + 3 * (4 + 4 + 5);
  CHECK(file.flip_bits(header).rejected > 0);
  CHECK(file.replace_bytes(header).rejected > 0);
}

TEST_CASE("encoding gives what llama2.c's algorithm gives, on random texts") {
  const auto tokenizer = tokenizer_of(tiny_vocabulary(small_vocabulary));
  rng::engine engine({.seed = 2, .use = rng::purpose::data});
  const std::vector<std::string> parts{"a", "a", "a", "b", "b", " ", "ä", "€", "c", "\xc3", "\x80", "aba", "b a"};
  for (int round = 0; round != 3'000; ++round) {
    const auto text = random_text(engine, parts, engine.below(30));
    CAPTURE(text);
    const auto encoded = tokenizer.encode(text, true);
    REQUIRE(encoded == naive_encode(tokenizer, text, true));
    REQUIRE(tokenizer.decode(encoded) == text);
  }
}

TEST_CASE("the project's own tokenizer") {
  const auto path = project_file("examples/models/tiny-llama/tokenizer.bin");
  const llama2c_tokenizer tokenizer(path, 1024);
  CHECK(tokenizer.size() == llama2c_tokenizer(path).size());
  const std::string text = "Once upon a time, there was a naïve cat.\n\"Hello!\" it said.";
  const auto encoded = tokenizer.encode(text, true);
  CHECK(encoded == naive_encode(tokenizer, text, true));
  CHECK(tokenizer.decode(encoded) == text);
}

TEST_CASE("a real tokenizer: the 512 tokens of stories260K") {
  const auto path = shared_data("models/stories260K/tok512.bin");
  if (!path) return;
  const llama2c_tokenizer tokenizer(*path, 512);
  CHECK(tokenizer.encode("Once upon a time", true) == tokens{1, 403, 407, 261, 378});
  CHECK(tokenizer.encode("Once upon a time, there was a little girl named Lily.", true) ==
        tokens{1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426});
  CHECK(tokenizer.encode(" two  spaces ", false) == tokens{410, 259, 424, 414, 410, 262, 427, 412, 331, 419, 410});
  CHECK(tokenizer.encode("naïve 日本 😀\n\x01", false) ==
        tokens{297, 412, 198, 178, 360, 410, 233, 154, 168, 233, 159, 175, 410, 243, 162, 155, 131, 13, 4});
}

TEST_CASE("real text: as the naive algorithm piece by piece, and back again whole") {
  const auto path = shared_data("models/stories260K/tok512.bin");
  const auto text_path = shared_data("data/tinystories/tinystories_2M.txt");
  if (!path || !text_path) return;
  const llama2c_tokenizer tokenizer(*path);
  const auto text = read_file(*text_path);
  REQUIRE(text.size() > 1'500'000);
  for (std::size_t begin = 0; begin < 60'000; begin += 1'500) {
    const auto piece = std::string_view(text).substr(begin, 1'500);
    REQUIRE(tokenizer.encode(piece, true) == naive_encode(tokenizer, piece, true));
  }
  const auto encoded = tokenizer.encode(text, true);
  CHECK(tokenizer.decode(encoded) == text);
}

TEST_CASE("a real vocabulary: the 32000 tokens of LLaMA 2") {
  const auto path = shared_data("tokenizers/llama2-tokenizer.model");
  if (!path) return;
  const auto tokenizer = tokenizer_of(llama2c_from_sentencepiece(read_file(*path)), 32'000);

  // Texts and tokens of llama2.c's own test of its encoder, which are those of Meta's tokenizer.
  CHECK(tokenizer.encode("", true) == tokens{1});
  CHECK(tokenizer.encode("I believe the meaning of life is", true) ==
        tokens{1, 306, 4658, 278, 6593, 310, 2834, 338});
  CHECK(tokenizer.encode("Simply put, the theory of relativity states that ", true) ==
        tokens{1, 3439, 17632, 1925, 29892, 278, 6368, 310, 14215, 537, 5922, 393, 29871});
  CHECK(tokenizer.encode("A brief message congratulating the team on the launch:\n\n        Hi everyone,\n\n"
                         "        I just ",
                         true) == tokens{1,     319,   11473, 2643, 378,   629, 271, 18099, 278,
                                         3815,  373,   278,   6826, 29901, 13,  13,  4706,  6324,
                                         14332, 29892, 13,    13,   4706,  306, 925, 29871});
  CHECK(tokenizer.encode("Translate English to French:\n\n        sea otter => loutre de mer\n"
                         "        peppermint => menthe poivrée\n        plush girafe => girafe peluche\n"
                         "        cheese =>",
                         true) ==
        tokens{1,   4103, 9632, 4223, 304,  5176, 29901, 13,   13,   4706, 7205,  4932, 357,  1149,  301,  449, 276,
               316, 2778, 13,   4706, 1236, 407,  837,   524,  1149, 6042, 354,   772,  440,  29878, 1318, 13,  4706,
               715, 1878, 330,  3055, 1725, 1149, 330,   3055, 1725, 4639, 28754, 13,   4706, 923,   968,  1149});

  const auto text_path = shared_data("data/wikitext-2/wiki.test.raw");
  if (!text_path) return;
  const auto text = read_file(*text_path);
  for (std::size_t begin = 0; begin < 40'000; begin += 1'000) {
    const auto piece = std::string_view(text).substr(begin, 1'000);
    REQUIRE(tokenizer.encode(piece, true) == naive_encode(tokenizer, piece, true));
  }
  const auto encoded = tokenizer.encode(text, true);
  CHECK(tokenizer.decode(encoded) == text);
  CHECK(encoded.size() == 335'688);  // 655 chunks of 512, the number llama.cpp gives for this file
}

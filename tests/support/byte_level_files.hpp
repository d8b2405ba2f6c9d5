// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/naive_byte_level_bpe.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/byte_alphabet.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::testing {

using merge_list = std::vector<std::pair<std::string, std::string>>;

/// A byte-level vocabulary of the 256 bytes, what the merges make, and `more`, in that order.
struct byte_level_files {
  io::json vocabulary;
  merge_list merges;

  explicit byte_level_files(merge_list list, const std::vector<std::string>& more = {}) : merges(std::move(list)) {
    vocabulary = io::json::object();
    for (unsigned b = 0; b != 256; ++b) {
      std::string spelled;
      text::append_byte_character(spelled, static_cast<unsigned char>(b));
      add(spelled);
    }
    for (const auto& [left, right] : merges) add(left + right);
    for (const std::string& text : more) add(text);
  }

  [[nodiscard]] std::string vocab_json() const { return vocabulary.dump(); }
  [[nodiscard]] std::string merges_txt() const {
    std::string text = "#version: 0.2\n";
    for (const auto& [left, right] : merges) text += left + ' ' + right + '\n';
    return text;
  }

 private:
  void add(const std::string& text) {
    if (!vocabulary.contains(text)) vocabulary[text] = vocabulary.size();
  }
};

/// Merges that overlap, chain and compete, within words, numbers and marks, and across the bytes of a character.
inline merge_list small_merges() {
  return {{"a", "b"},   {"Ġ", "a"}, {"b", "a"},  {"ab", "a"}, {"Ġa", "b"}, {"a", "a"},
          {"aa", "aa"}, {"Ġ", "Ġ"}, {"1", "2"},  {"12", "3"}, {"'", "s"},  {"Ã", "©"},
          {"Ċ", "Ċ"},   {"ð", "Ł"}, {"ðŁ", "ĳ"}, {"!", "!"},  {"!!", "!"}};
}

/// The merges that a merges.txt lists.
inline merge_list merges_of(std::string_view merges_txt) {
  merge_list merges;
  std::istringstream lines{std::string(merges_txt)};
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.find(' ');
    if (!line.starts_with("#version") && space != std::string::npos)
      merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

/// The oracle of those files.
inline naive_byte_level_bpe naive_tokenizer(std::string_view vocab_json, std::string_view merges_txt) {
  return {io::json::parse(vocab_json).get<std::map<std::string, std::uint32_t>>(), merges_of(merges_txt)};
}

/// What there is trouble with: emoji with joiners and skin tones, accents, CJK, control characters, white space,
/// contractions, numbers, and bytes that are no UTF-8. Each is a text of its own.
inline std::vector<std::string> troublesome_texts() {
  using namespace std::string_literals;
  return {
      "",
      " ",
      "  ",
      "a",
      " a",
      "a ",
      "  a  b   ",
      "\n",
      "\n\n a\n\n\nb\n",
      "\t\ta\r\nb \t",
      "👩‍👩‍👧‍👦 🏽👍🏽 🇩🇪👍👍 ☃️",
      "e\u0301é ﬁ Å\u212b ÀÉßẞǅʰ\u0345 naïve coöp a\u0300\u0316",
      "日本語テキスト、한국어 中文。 ᄒ\u1161\u11ab",
      "\x01\x02\x1b\x1c\x1f\x7f \x08 a\x07",
      "a\0b\0\0"s,
      "a\u00a0b \u00a0\u00a0c\u3000\u3000d \u3000 e\u2003\u1680f\u202f\u205f ",
      "\u0085\u180e\u200b\u2028\u2029 \ufeffa",
      "I'll've don't it's IT'S we'd I'm they're 's 't' ''s 'x don’t ‘s 'ſ",
      "123 12 1 ½Ⅷ٣٤² ª 1,200.50",
      "!!!!!! ...!! $€ (a) [b]; a_b",
      "\u00ad𝒜𐐷क् \ufffd\U0010ffff\ue000▁",
      "\xff\xfe",
      "a\x80"
      "b",
      "\xe2\x82"
      "a \xe2\x82",
      "\xc3",
      "\xf0\x9f\x91",
      " \xed\xa0\x80 \xc0\x80 \xf5\x80\x80\x80",
      "\xf4\x90\x80\x80 \xe0\x80\x80",
      "aaaaaaaaaaabaabab ababab aaaa",
      "<|endoftext|> </s><s>a<pad>",
  };
}

}  // namespace zoqat::testing

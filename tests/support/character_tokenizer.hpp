// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::testing {

/// A tokenizer for vocabularies of 33 and more: BOS, an end, a token per lower-case letter, space, line end and
/// full stop, and one for "ab", so that texts can merge across a border.
struct character_tokenizer {
  using token = std::uint32_t;
  static constexpr token bos = 0, end = 1, merged = 32;
  static constexpr std::string_view characters = "abcdefghijklmnopqrstuvwxyz \n.?";

  [[nodiscard]] static std::size_t size() { return merged + 1; }
  [[nodiscard]] static token of(char c) { return static_cast<token>(2 + characters.find(c)); }
  [[nodiscard]] std::vector<token> encode(std::string_view text, bool with_bos) const {
    std::vector<token> tokens;
    if (with_bos) tokens.push_back(bos);
    for (std::size_t i = 0; i != text.size(); ++i) {
      const bool pair = text.substr(i, 2) == "ab";
      tokens.push_back(pair ? merged : of(text[i]));
      i += pair;
    }
    return tokens;
  }
  [[nodiscard]] std::string decode(std::span<const token> tokens) const {
    std::string text;
    for (const token t : tokens) {
      if (t >= size()) throw std::out_of_range("character_tokenizer: there is no such token");
      if (t == merged)
        text += "ab";
      else if (t >= 2 && t < 2 + characters.size())
        text += characters[t - 2];
    }
    return text;
  }
};

}  // namespace zoqat::testing

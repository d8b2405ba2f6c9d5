// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/llama2c_tokenizer.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::testing {

/// llama2.c's encoder written down as it is defined: look for the best pair of the whole text, merge it, start
/// over. O(n²); the oracle of `llama2c_tokenizer::encode`.
inline std::vector<std::uint32_t> naive_encode(const text::llama2c_tokenizer& tokenizer, std::string_view text,
                                               bool bos) {
  std::vector<std::uint32_t> tokens;
  const auto push_character = [&](const std::string& character) {
    if (const auto id = tokenizer.find(character)) {
      tokens.push_back(*id);
    } else {
      for (const char c : character) tokens.push_back(static_cast<unsigned char>(c) + 3u);
    }
  };
  if (!text.empty()) push_character(" ");
  std::string character;
  for (std::size_t i = 0; i != text.size(); ++i) {
    character += text[i];
    const bool continues = i + 1 != text.size() && (static_cast<unsigned char>(text[i + 1]) & 0xC0) == 0x80;
    if (continues && character.size() < 4) continue;
    push_character(character);
    character.clear();
  }
  while (true) {
    float best_score = -1e10f;
    std::size_t best_place = tokens.size();
    std::uint32_t best_id = 0;
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto id = tokenizer.find(std::string(tokenizer.piece(tokens[i])).append(tokenizer.piece(tokens[i + 1])));
      if (id && tokenizer.score(*id) > best_score) {
        best_score = tokenizer.score(*id);
        best_place = i;
        best_id = *id;
      }
    }
    if (best_place == tokens.size()) break;
    tokens[best_place] = best_id;
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(best_place) + 1);
  }
  if (bos) tokens.insert(tokens.begin(), tokenizer.bos());
  return tokens;
}

}  // namespace zoqat::testing

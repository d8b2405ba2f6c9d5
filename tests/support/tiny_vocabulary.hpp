// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/files.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace zoqat::testing {

struct vocabulary_entry {
  std::string piece;
  float score = 0;
};

/// A llama2.c tokenizer file with these tokens.
inline std::string vocabulary_file(const std::vector<vocabulary_entry>& entries) {
  std::size_t longest = 0;
  for (const auto& entry : entries) longest = std::max(longest, entry.piece.size());
  std::string bytes;
  append_value(bytes, static_cast<std::int32_t>(longest));
  for (const auto& entry : entries) {
    append_value(bytes, entry.score);
    append_value(bytes, static_cast<std::int32_t>(entry.piece.size()));
    bytes += entry.piece;
  }
  return bytes;
}

/// The tokens that every vocabulary begins with: the special ones and the bytes.
inline std::vector<vocabulary_entry> special_and_byte_tokens() {
  std::vector<vocabulary_entry> entries{{"<unk>", 0}, {"\n<s>\n", 0}, {"\n</s>\n", 0}};
  for (int b = 0; b != 256; ++b) entries.push_back({fmt::format("<0x{:02X}>", b), 0});
  return entries;
}

/// A llama2.c tokenizer file with `extra` from token 259 on.
inline std::string tiny_vocabulary(const std::vector<vocabulary_entry>& extra) {
  auto entries = special_and_byte_tokens();
  entries.insert(entries.end(), extra.begin(), extra.end());
  return vocabulary_file(entries);
}

}  // namespace zoqat::testing

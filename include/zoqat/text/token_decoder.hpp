// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/byte_alphabet.hpp>

#include <charconv>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// A step on the way from the texts of tokens, as they are stored, to text: changes them in place.
using token_decoder = std::function<void(std::vector<std::string>&)>;

/// Byte-level BPE: characters of the byte alphabet become their bytes; a token with others is left alone.
inline void decode_spelled_bytes(std::vector<std::string>& tokens) {
  for (std::string& token : tokens) {
    std::string bytes;
    if (append_spelled_bytes(bytes, token)) token = std::move(bytes);
  }
}

/// Tokens like `<0x0A>` become that byte, whether or not it makes UTF-8 together with its neighbors.
inline void decode_byte_tokens(std::vector<std::string>& tokens) {
  for (std::string& token : tokens) {
    if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') continue;
    unsigned byte = 0;
    const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
    if (error == std::errc() && end == token.data() + 5) token = static_cast<char>(byte);
  }
}

/// All become one.
inline void fuse_tokens(std::vector<std::string>& tokens) {
  if (tokens.empty()) return;
  std::string text;
  for (const std::string& token : tokens) text += token;
  tokens.assign(1, std::move(text));
}

/// Puts a space between tokens.
inline void separate_tokens(std::vector<std::string>& tokens) {
  for (std::size_t i = 1; i < tokens.size(); ++i) tokens[i].insert(0, 1, ' ');
}

/// Puts `content` in the place of each `text`, which is not empty.
struct replace_in_tokens {
  std::string text, content;

  void operator()(std::vector<std::string>& tokens) const {
    for (std::string& token : tokens) {
      std::string replaced;
      std::size_t done = 0;
      for (auto at = token.find(text); at != std::string::npos; at = token.find(text, done)) {
        replaced.append(token, done, at - done).append(content);
        done = at + text.size();
      }
      token = std::move(replaced.append(token, done));
    }
  }
};

/// Takes `text`, which is not empty, off the front and the back of each token, up to so many times.
struct strip_tokens {
  std::string text;
  std::size_t front = 0, back = 0;

  void operator()(std::vector<std::string>& tokens) const {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::size_t i = 0; i != front && rest.starts_with(text); ++i) rest.remove_prefix(text.size());
      for (std::size_t i = 0; i != back && rest.ends_with(text); ++i) rest.remove_suffix(text.size());
      token = std::string(rest);
    }
  }
};

/// One after another.
struct decoder_sequence {
  std::vector<token_decoder> steps;

  void operator()(std::vector<std::string>& tokens) const {
    for (const token_decoder& step : steps) step(tokens);
  }
};

/// The inverse of `mark_spaces`: marks become spaces, and the one in front goes when there was one put.
[[nodiscard]] inline token_decoder decode_marks(std::string mark, bool prefixed) {
  return [replace = replace_in_tokens{std::move(mark), " "}, prefixed](std::vector<std::string>& tokens) {
    if (prefixed && !tokens.empty() && tokens.front().starts_with(replace.text))
      tokens.front().erase(0, replace.text.size());
    replace(tokens);
  };
}

}  // namespace zoqat::text

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/byte_alphabet.hpp>
#include <zoqat/text/text_pieces.hpp>
#include <zoqat/text/unicode.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// Cuts a text into the words that are encoded each on its own.
using pre_tokenizer = std::function<void(text_pieces&)>;

/// GPT-2's words: English contractions, letters, numbers, other marks, each with a space before it if there is one,
/// and white space, whose last character goes to a word that follows.
inline constexpr std::string_view gpt2_words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Cuts at the matches of a pattern.
struct split_matches {
  unicode_pattern pattern;
  split_behavior behavior = split_behavior::isolated;
  bool invert = false;

  void operator()(text_pieces& pieces) const { pieces.split(pattern, behavior, invert); }
};

/// Cuts into words and spells their bytes in the alphabet of byte-level BPE.
struct spell_bytes {
  std::optional<unicode_pattern> words = unicode_pattern(gpt2_words);  // none: the pieces are the words
  bool prefix_space = false;  // a piece that does not begin with a space gets one

  void operator()(text_pieces& pieces) const {
    if (prefix_space) {
      pieces.rewrite([](std::string& out, std::string_view piece, bool) {
        if (!piece.starts_with(' ')) out += ' ';
        out += piece;
      });
    }
    if (words) pieces.split(*words, split_behavior::isolated);
    pieces.rewrite([](std::string& out, std::string_view piece, bool) { append_spelling(out, piece); });
  }
};

/// Whether a text gets a mark in front, in place of the space that a word has: each piece of it, or only where it
/// begins; never twice.
enum class prefix_mark { always, first, never };

/// Puts a mark in the place of each space and cuts before the marks (sentencepiece's way).
struct mark_spaces {
  std::string mark;
  prefix_mark prefix = prefix_mark::always;
  bool split = true;

  void operator()(text_pieces& pieces) const {
    const bool at_start = pieces.at_start();
    pieces.rewrite([&](std::string& out, std::string_view piece, bool first) {
      const bool wanted = prefix == prefix_mark::always || (prefix == prefix_mark::first && first && at_start);
      if (wanted && !piece.starts_with(' ') && !piece.starts_with(mark)) out += mark;
      for (const char c : piece) {
        if (c == ' ')
          out += mark;
        else
          out += c;
      }
    });
    if (split) pieces.split(unicode_pattern::literal(mark), split_behavior::merged_with_next);
  }
};

/// One after another.
struct pre_tokenizer_sequence {
  std::vector<pre_tokenizer> steps;

  void operator()(text_pieces& pieces) const {
    for (const pre_tokenizer& step : steps) step(pieces);
  }
};

}  // namespace zoqat::text

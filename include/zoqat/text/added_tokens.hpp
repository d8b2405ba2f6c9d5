// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/string_map.hpp>
#include <zoqat/text/unicode.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// Whether a special token that a text spells out, like "<|endoftext|>", means that token. Off, the text is only
/// text: what a user types can not end the document.
enum class special_spelling { off, on };

/// A token that is found in the text before anything else is done with it.
struct added_token {
  std::string text;  ///< Not empty.
  std::uint32_t id = 0;
  /// How the vocabulary spells it, for the decoder.
  std::string stored = {};
  /// Found only with `special_spelling::on`, and left out of decoded text otherwise.
  bool special = false;
  /// Swallows the white space to its left, to its right.
  bool strip_left = false, strip_right = false;
};

/// Finds added tokens in a text: the leftmost, the longest of those. White space that one swallows can still be the
/// next one, as with Hugging Face.
class added_tokens {
 public:
  /// Of two tokens of the same text the last counts.
  void add(added_token token) {
    begins_[static_cast<unsigned char>(token.text.front())] = true;
    const auto at = std::ranges::lower_bound(lengths_, token.text.size(), std::greater<>());
    if (at == lengths_.end() || *at != token.text.size()) lengths_.insert(at, token.text.size());
    std::string text = token.text;
    tokens_.insert_or_assign(std::move(text), std::move(token));
  }

  [[nodiscard]] bool empty() const noexcept { return tokens_.empty(); }

  /// Calls `f(stretch, token)` for each token from left to right with the text before it, which may be empty, and at
  /// last with what follows and null.
  template <class F>
  void split(std::string_view text, special_spelling spelling, F&& f) const {
    std::size_t done = 0;
    for (std::size_t place = 0; !tokens_.empty() && place < text.size();) {
      const added_token* const token = starting_at(text.substr(place), spelling);
      if (!token) {
        ++place;
        continue;
      }
      std::string_view before = text.substr(done, std::max(place, done) - done);
      if (token->strip_left) before.remove_suffix(trailing_white_space(before));
      f(before, token);
      place += token->text.size();
      done = place;
      if (token->strip_right) done += leading_white_space(text.substr(place));
    }
    f(text.substr(done), nullptr);
  }

 private:
  [[nodiscard]] const added_token* starting_at(std::string_view text, special_spelling spelling) const {
    if (!begins_[static_cast<unsigned char>(text.front())]) return nullptr;
    for (const std::size_t length : lengths_) {
      if (length > text.size()) continue;
      const auto found = tokens_.find(text.substr(0, length));
      if (found != tokens_.end() && (!found->second.special || spelling == special_spelling::on))
        return &found->second;
    }
    return nullptr;
  }

  string_map<added_token> tokens_;
  std::vector<std::size_t> lengths_;  // of the tokens, each once, the longest first
  std::array<bool, 256> begins_{};    // some token begins with that byte
};

}  // namespace zoqat::text

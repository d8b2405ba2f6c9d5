// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/unicode.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// What becomes of the matches of a pattern that cuts a text: they go, are pieces of their own, belong to the piece
/// before or after them, or are one piece with the matches next to them (Hugging Face's `SplitDelimiterBehavior`).
enum class split_behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// A text and the pieces it is cut into, none of which is empty.
class text_pieces {
 public:
  /// One piece. `at_start`: nothing came before the text.
  text_pieces(std::string text, bool at_start) : text_(std::move(text)), at_start_(at_start) {
    if (!text_.empty()) ranges_.push_back({0, text_.size()});
  }

  [[nodiscard]] bool at_start() const noexcept { return at_start_; }

  /// Calls `f(piece)` from left to right.
  template <class F>
  void for_each(F&& f) const {
    for (const range& r : ranges_) f(view(r));
  }

  /// Gives each piece a new text: `f(out, piece, first)` appends it; `first` is true for the first piece.
  template <class F>
  void rewrite(F&& f) {
    std::string text;
    text.reserve(text_.size());
    std::vector<range> ranges;
    ranges.reserve(ranges_.size());
    for (const range& r : ranges_) {
      const std::size_t begin = text.size();
      f(text, view(r), &r == ranges_.data());
      if (begin != text.size()) ranges.push_back({begin, text.size()});
    }
    text_ = std::move(text);
    ranges_ = std::move(ranges);
  }

  /// Cuts each piece at the matches of `pattern`, or at what lies between them when `invert`. Throws as
  /// `unicode_matcher` does.
  void split(const unicode_pattern& pattern, split_behavior behavior, bool invert = false) {
    std::vector<range> ranges;
    ranges.reserve(ranges_.size());
    unicode_matcher matcher(pattern);
    for (const range& piece : ranges_) {
      cutter cut{ranges, behavior};
      std::size_t done = piece.begin;
      matcher.for_each(view(piece), [&](std::size_t begin, std::size_t end) {
        cut.add({done, piece.begin + begin}, invert);
        cut.add({piece.begin + begin, piece.begin + end}, !invert);
        done = piece.begin + end;
      });
      cut.add({done, piece.end}, invert);
    }
    ranges_ = std::move(ranges);
  }

 private:
  struct range {
    std::size_t begin, end;
  };

  // Turns the matches and gaps of one piece, in order, into pieces.
  struct cutter {
    std::vector<range>& out;
    split_behavior behavior;
    bool any = false, after_match = false;

    void add(range r, bool is_match) {
      if (r.begin == r.end) return;
      if (any && joins(is_match))
        out.back().end = r.end;
      else if (!is_match || behavior != split_behavior::removed)
        out.push_back(r);
      any = true;
      after_match = is_match;
    }
    [[nodiscard]] bool joins(bool is_match) const noexcept {
      switch (behavior) {
        case split_behavior::merged_with_previous:
          return is_match && !after_match;
        case split_behavior::merged_with_next:
          return !is_match && after_match;
        case split_behavior::contiguous:
          return is_match == after_match;
        case split_behavior::removed:
        case split_behavior::isolated:
          break;
      }
      return false;
    }
  };

  [[nodiscard]] std::string_view view(const range& r) const noexcept {
    return std::string_view(text_).substr(r.begin, r.end - r.begin);
  }

  std::string text_;
  std::vector<range> ranges_;
  bool at_start_;
};

}  // namespace zoqat::text

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/unicode.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// A change to a whole text before it is cut into words.
using text_normalizer = std::function<std::string(std::string)>;

/// Puts `prefix` in front of a text that is not empty.
struct prepend_text {
  std::string prefix;

  [[nodiscard]] std::string operator()(std::string text) const { return text.empty() ? text : prefix + text; }
};

/// Puts `content` in the place of each match.
struct replace_matches {
  unicode_pattern pattern;
  std::string content;

  [[nodiscard]] std::string operator()(const std::string& text) const {
    std::string replaced;
    std::size_t done = 0;
    unicode_matcher(pattern).for_each(text, [&](std::size_t begin, std::size_t end) {
      replaced.append(text, done, begin - done).append(content);
      done = end;
    });
    return replaced.append(text, done);
  }
};

/// Brings a text into a normal form of Unicode.
struct normalize_form {
  unicode_form form;

  [[nodiscard]] std::string operator()(const std::string& text) const { return normalize(text, form); }
};

/// One after another.
struct normalizer_sequence {
  std::vector<text_normalizer> steps;

  [[nodiscard]] std::string operator()(std::string text) const {
    for (const text_normalizer& step : steps) text = step(std::move(text));
    return text;
  }
};

}  // namespace zoqat::text

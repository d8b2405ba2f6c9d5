// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <unicode/normalizer2.h>
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/utf16.h>
#include <unicode/utf8.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::text {

// The only header that includes a Unicode library, ICU: regular expressions, normal forms and white space, all on
// UTF-8 of any kind. Bytes that are no UTF-8 count as U+FFFD, one for each ill-formed sequence as Unicode 3.9
// recommends to count them, but are never replaced: what comes out are places in the text, or its own bytes.

namespace detail {

// Texts are indexed with 32 bits by ICU.
inline std::int32_t icu_length(std::string_view text) {
  constexpr std::int32_t longest = std::numeric_limits<std::int32_t>::max();
  require(text.size() <= std::size_t{longest}, "a text of {} bytes is too long: {} at most", text.size(), longest);
  return static_cast<std::int32_t>(text.size());
}

inline icu::StringPiece icu_piece(std::string_view text) { return {text.data(), icu_length(text)}; }

inline void require_icu(UErrorCode status, std::string_view what) {
  require(U_SUCCESS(status), "{}: {}", what, u_errorName(status));
}

// The character at `place`, which moves behind it. GCC takes the macro's own masks for conversions that lose bits.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
inline UChar32 next_character(std::string_view text, std::int32_t& place) {
  UChar32 character = 0;
  U8_NEXT_OR_FFFD(text.data(), place, static_cast<std::int32_t>(text.size()), character);
  return character;
}
#pragma GCC diagnostic pop

// Where a place of the UTF-16 form of a text is in the text itself. Places are asked for from left to right.
class utf8_places {
 public:
  explicit utf8_places(std::string_view text) : text_(text) {}

  std::size_t of(std::int32_t utf16_place) {
    while (utf16_ < utf16_place) {
      const UChar32 character = next_character(text_, utf8_);
      utf16_ += U16_LENGTH(character);
    }
    return static_cast<std::size_t>(utf8_);
  }

 private:
  std::string_view text_;
  std::int32_t utf8_ = 0, utf16_ = 0;
};

}  // namespace detail

/// A regular expression with Unicode classes (`\p{L}`, `\s` is White_Space). It is compiled once, shared by copies
/// and may be used by several threads. `^` and `$` match at every line feed, as in Oniguruma, whose dialect the
/// patterns of tokenizers are written in.
class unicode_pattern {
 public:
  /// Throws value_error, with the expression and the reason, when `expression` is none.
  explicit unicode_pattern(std::string_view expression)
      : unicode_pattern(expression, UREGEX_MULTILINE | UREGEX_UNIX_LINES) {}
  /// A pattern that matches `text` itself; it must not be empty.
  [[nodiscard]] static unicode_pattern literal(std::string_view text) {
    require(!text.empty(), "an empty text is no pattern");
    return unicode_pattern(text, UREGEX_LITERAL);
  }

 private:
  friend class unicode_matcher;

  unicode_pattern(std::string_view expression, std::uint32_t flags) {
    UErrorCode status = U_ZERO_ERROR;
    compiled_.reset(
        icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(detail::icu_piece(expression)), flags, status));
    require(U_SUCCESS(status), "'{}' is not a regular expression: {}", expression, u_errorName(status));
  }

  std::shared_ptr<const icu::RegexPattern> compiled_;
};

/// Finds the matches of a pattern in one text after another. It holds scratch memory and belongs to one thread.
class unicode_matcher {
 public:
  explicit unicode_matcher(const unicode_pattern& pattern) : pattern_(pattern.compiled_) {
    UErrorCode status = U_ZERO_ERROR;
    matcher_.reset(pattern_->matcher(status));
    detail::require_icu(status, "a regular expression");
  }

  /// Calls `f(begin, end)`, places in bytes, for each match from left to right. Throws value_error for a text of 2^31
  /// bytes and more, and after 10^7 steps of matching and 100 more per byte.
  template <class F>
  void for_each(std::string_view text, F&& f) {
    utf16_ = icu::UnicodeString::fromUTF8(detail::icu_piece(text));
    matcher_->reset(utf16_);
    UErrorCode status = U_ZERO_ERROR;
    matcher_->setTimeLimit(time_limit(text.size()), status);
    detail::utf8_places places(text);
    while (matcher_->find(status)) {
      const std::size_t begin = places.of(matcher_->start(status));
      f(begin, places.of(matcher_->end(status)));
    }
    if (U_FAILURE(status)) fail("'{}' in a text of {} bytes: {}", expression(), text.size(), u_errorName(status));
  }

 private:
  // ICU counts units of 10^4 steps over all matches in a text. The patterns of tokenizers take a few steps a byte;
  // one that backtracks without end takes exponentially many.
  static constexpr std::int32_t time_limit(std::size_t bytes) noexcept {
    return 1'000 + static_cast<std::int32_t>(bytes / 100);
  }

  [[nodiscard]] std::string expression() const {
    std::string utf8;
    return pattern_->pattern().toUTF8String(utf8);
  }

  std::shared_ptr<const icu::RegexPattern> pattern_;
  icu::UnicodeString utf16_;  // the matcher refers to it
  std::unique_ptr<icu::RegexMatcher> matcher_;
};

/// The normal forms of Unicode (UAX #15).
enum class unicode_form { nfc, nfd, nfkc, nfkd };

/// `text` in a normal form; bytes that are no UTF-8 stay as they are. Throws value_error for 2^31 bytes and more.
[[nodiscard]] inline std::string normalize(std::string_view text, unicode_form form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = nullptr;
  switch (form) {
    case unicode_form::nfc:
      normalizer = icu::Normalizer2::getNFCInstance(status);
      break;
    case unicode_form::nfd:
      normalizer = icu::Normalizer2::getNFDInstance(status);
      break;
    case unicode_form::nfkc:
      normalizer = icu::Normalizer2::getNFKCInstance(status);
      break;
    case unicode_form::nfkd:
      normalizer = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  detail::require_icu(status, "Unicode normalization");
  std::string normal;
  icu::StringByteSink<std::string> sink(&normal, detail::icu_length(text));
  normalizer->normalizeUTF8(0, detail::icu_piece(text), sink, nullptr, status);
  detail::require_icu(status, "Unicode normalization");
  return normal;
}

/// Bytes of the white space that `text` begins with.
[[nodiscard]] inline std::size_t leading_white_space(std::string_view text) {
  const std::int32_t length = detail::icu_length(text);
  std::int32_t end = 0;
  for (std::int32_t next = 0; next != length; end = next)
    if (!u_isUWhiteSpace(detail::next_character(text, next))) break;
  return static_cast<std::size_t>(end);
}

/// Bytes of the white space that `text` ends with.
[[nodiscard]] inline std::size_t trailing_white_space(std::string_view text) {
  const std::int32_t length = detail::icu_length(text);
  std::int32_t begin = length;
  for (std::int32_t previous = length; previous != 0; begin = previous) {
    UChar32 character = 0;
    U8_PREV_OR_FFFD(text.data(), 0, previous, character);
    if (!u_isUWhiteSpace(character)) break;
  }
  return static_cast<std::size_t>(length - begin);
}

}  // namespace zoqat::text

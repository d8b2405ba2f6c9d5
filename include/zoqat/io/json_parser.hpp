// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>

namespace zoqat::inline ZOQAT_ABI::io {

/// Deepest nesting that is parsed.
inline constexpr std::size_t max_json_depth = 64;
/// Memory that parsing takes at most beside some bytes for each byte of text. What would take more is refused: a few
/// bytes of text can make a value of a hundred.
inline constexpr std::size_t json_memory = std::size_t{64} << 20;
/// Those bytes.
inline constexpr std::size_t json_memory_per_byte = 2;

/// The longest text that is parsed, which bounds the memory that a hostile file can ask for and is safetensors' own
/// limit for its header, and the memory that it may take.
struct json_limits {
  std::size_t bytes = 100'000'000;
  std::size_t memory_per_byte = json_memory_per_byte, memory = json_memory;
};

namespace detail {

/// Counts the memory of a value that grows, and refuses more than a text of that length may take.
class json_budget {
 public:
  /// Throws io_error for a text that is too long.
  json_budget(std::string_view text, std::string_view file, const json_limits& limits = {})
      : file_(file), text_(text.size()), most_(limits.memory_per_byte * text.size() + limits.memory) {
    require<io_error>(text_ <= limits.bytes, "{}: {} bytes of JSON, more than the {} that are read", file, text_,
                      limits.bytes);
  }

  void take(std::size_t bytes) {
    taken_ += bytes;
    require<io_error>(
        taken_ <= most_,
        "{}: {} bytes of JSON that would take more than {} bytes of memory: too many values, or too long "
        "a text, for a file that is read",
        file_, text_, most_);
  }
  void give_back(std::size_t bytes) noexcept { taken_ -= bytes; }
  [[nodiscard]] std::size_t taken() const noexcept { return taken_; }
  /// Counts the bytes of an allocation, and what the allocator needs beside them.
  void take_allocation(std::size_t bytes) { take(bytes + sizeof(std::size_t)); }
  void take_allocation_of(std::string_view text) {
    if (text.size() > std::string().capacity()) take_allocation(text.size() + 1);
  }

 private:
  std::string_view file_;
  std::size_t text_, most_, taken_ = 0;
};

/// Bytes of the well-formed UTF-8 character that a text which is not empty begins with; 0 where there is none.
[[nodiscard]] constexpr std::size_t well_formed_character(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i) { return byte(i) >> 6 == 2; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4 || !follows(1)) return 0;
  if (first < 0xE0) return 2;
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool out_of_range = (first == 0xED && second >= 0xA0) || (first == 0xF4 && second >= 0x90);
  if (overlong || out_of_range || !follows(2)) return 0;
  if (first < 0xF0) return 3;
  return follows(3) ? 4 : 0;
}

/// Appends a code point below 0x110000 that is no surrogate.
inline void append_utf8(std::string& to, std::uint32_t code) {
  const auto add = [&](std::uint32_t byte) { to += static_cast<char>(static_cast<unsigned char>(byte)); };
  const auto add_rest = [&](unsigned bytes) {
    while (bytes-- != 0) add(0x80 | (code >> 6 * bytes & 0x3F));
  };
  if (code < 0x80) return add(code);
  if (code < 0x800) return add(0xC0 | code >> 6), add_rest(1);
  if (code < 0x10000) return add(0xE0 | code >> 12), add_rest(2);
  add(0xF0 | code >> 18), add_rest(3);
}

/// A number of JSON as a double; infinite where none is so large.
[[nodiscard]] inline double json_double(std::string_view number) noexcept {
  double value = 0;
  if (std::from_chars(number.data(), number.data() + number.size(), value).ec == std::errc()) return value;
  // Too large or too small: the power of ten of its first digit that is not zero says which.
  const bool negative = number.starts_with('-');
  const std::size_t sign = negative ? 1 : 0;
  const std::string_view digits = number.substr(sign, number.find_first_of("eE") - sign);
  const auto point = static_cast<std::int64_t>(std::min(digits.find('.'), digits.size()));
  const auto first = static_cast<std::int64_t>(std::min(digits.find_first_not_of("0."), digits.size()));
  std::int64_t power = point - first - (first < point ? 1 : 0);
  if (std::size_t at = digits.size() + sign; at != number.size()) {
    at += number[at + 1] == '+' ? 2u : 1u;
    std::int64_t exponent = 0;
    const bool fits = std::from_chars(number.data() + at, number.data() + number.size(), exponent).ec == std::errc();
    constexpr std::int64_t far = std::int64_t{1} << 40;
    power += fits ? std::clamp(exponent, -far, far) : number[at] == '-' ? -far : far;
  }
  value = power < 0 ? 0.0 : std::numeric_limits<double>::infinity();
  return negative ? -value : value;
}

/// Parses a text by RFC 8259, in time linear in it, and calls what stands in it: null(), boolean(bool),
/// number_unsigned(u64), number_integer(i64), number_float(double), string(view), start_object(), key(view),
/// end_object(), start_array(), end_array(). A view is valid during its call. Integers that fit no 64 bits are
/// floats. Throws io_error, with the file, the place and what was wanted there, for what is no JSON, numbers that no
/// double holds and nesting deeper than `max_json_depth`.
template <class Events>
class json_parser {
 public:
  json_parser(std::string_view text, std::string_view file, json_budget& budget, Events& events)
      : text_(text), file_(file), budget_(budget), events_(events) {}

  void parse() {
    constexpr std::string_view mark = "\xEF\xBB\xBF";
    if (text_.starts_with(mark)) at_ = mark.size();
    value();
    if (next() != '\0' || at_ != text_.size()) fail_at(at_, "the end of the text");
  }

 private:
  /// The next character that is no white space, '\0' at the end.
  char next() noexcept {
    while (at_ != text_.size() && is_space(text_[at_])) ++at_;
    return at_ == text_.size() ? '\0' : text_[at_];
  }
  static constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  static constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  [[nodiscard]] char peek() const noexcept { return at_ == text_.size() ? '\0' : text_[at_]; }
  bool accept(char c) noexcept {
    if (next() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  void value() {
    switch (next()) {
      case '{':
        return object();
      case '[':
        return array();
      case '"':
        return events_.string(quoted());
      case 't':
        word("true");
        return events_.boolean(true);
      case 'f':
        word("false");
        return events_.boolean(false);
      case 'n':
        word("null");
        return events_.null();
      default:
        if (peek() != '-' && !is_digit(peek())) fail_at(at_, "a value");
        return number();
    }
  }
  void open() {
    require<io_error>(++depth_ <= max_json_depth, "{}: JSON nested deeper than {}", file_, max_json_depth);
    ++at_;
  }
  void object() {
    open();
    events_.start_object();
    if (!accept('}')) {
      do {
        if (next() != '"') fail_at(at_, "a key in quotes");
        events_.key(quoted());
        if (!accept(':')) fail_at(at_, "':' behind the key");
        value();
      } while (accept(','));
      if (!accept('}')) fail_at(at_, "',' or '}'");
    }
    events_.end_object();
    --depth_;
  }
  void array() {
    open();
    events_.start_array();
    if (!accept(']')) {
      do value();
      while (accept(','));
      if (!accept(']')) fail_at(at_, "',' or ']'");
    }
    events_.end_array();
    --depth_;
  }
  void word(std::string_view wanted) {
    if (!text_.substr(at_).starts_with(wanted)) fail_at(at_, fmt::format("'{}'", wanted));
    at_ += wanted.size();
  }

  void digits() {
    if (!is_digit(peek())) fail_at(at_, "a digit");
    while (is_digit(peek())) ++at_;
  }
  void number() {
    const std::size_t first = at_;
    const bool negative = peek() == '-';
    if (negative) ++at_;
    if (peek() == '0')
      ++at_;
    else
      digits();
    const std::size_t integral = at_;
    if (peek() == '.') ++at_, digits();
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const std::string_view all = text_.substr(first, at_ - first);
    if (at_ == integral && negative) {
      if (std::int64_t x = 0; read(all, x)) return events_.number_integer(x);
    } else if (at_ == integral) {
      if (std::uint64_t x = 0; read(all, x)) return events_.number_unsigned(x);
    }
    const double x = json_double(all);
    if (!std::isfinite(x)) fail_at(first, "a number that a double can hold");
    events_.number_float(x);
  }
  template <class T>
  static bool read(std::string_view number, T& to) noexcept {
    return std::from_chars(number.data(), number.data() + number.size(), to).ec == std::errc();
  }

  /// The text between quotes: a part of the whole where nothing in it is escaped.
  std::string_view quoted() {
    const std::size_t first = ++at_;
    pass_characters();
    if (peek() == '"') return text_.substr(first, at_++ - first);
    begin_buffer(first);
    while (text_[at_] == '\\') {
      escape();
      const std::size_t since = at_;
      pass_characters();
      buffer_ += text_.substr(since, at_ - since);
    }
    ++at_;
    return buffer_;
  }
  /// Moves on to the quote or the backslash that comes next.
  void pass_characters() {
    while (at_ != text_.size() && text_[at_] != '"' && text_[at_] != '\\') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) fail_at(at_, "an escape sequence for a control character");
      const std::size_t bytes = well_formed_character(text_.substr(at_, 4));
      if (bytes == 0) fail_at(at_, "a character in UTF-8");
      at_ += bytes;
    }
    if (at_ == text_.size()) fail_at(at_, "'\"' at the end of a string");
  }
  /// Makes room for all of a string, and puts what was passed of it there.
  void begin_buffer(std::size_t first) {
    std::size_t end = at_;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2u : 1u;
    const std::size_t most = std::min(end, text_.size()) - first;
    if (most > buffer_.capacity()) {
      budget_.take_allocation(most - (buffer_.capacity() > 15 ? buffer_.capacity() : 0));
      buffer_ = std::string();  // which gives its memory back before it takes more
      buffer_.reserve(most);
    }
    buffer_.assign(text_.substr(first, at_ - first));
  }
  void escape() {
    constexpr std::string_view names = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const std::size_t backslash = at_++;
    if (peek() == 'u') return unicode(backslash);
    const std::size_t name = at_ == text_.size() ? names.npos : names.find(text_[at_]);
    if (name == names.npos) fail_at(at_, "one of \"\\/bfnrtu behind a backslash");
    buffer_ += meanings[name];
    ++at_;
  }
  void unicode(std::size_t backslash) {
    std::uint32_t code = four_digits();
    if (code >> 10 == 0xD800 >> 10 && text_.substr(at_, 2) == "\\u") {
      ++at_;
      const std::uint32_t low = four_digits();
      if (low >> 10 != 0xDC00 >> 10) fail_at(backslash, "a pair of surrogates");
      code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00);
    }
    if (code >> 11 == 0xD800 >> 11) fail_at(backslash, "a pair of surrogates");
    append_utf8(buffer_, code);
  }
  /// Of an escape sequence whose 'u' comes next.
  std::uint32_t four_digits() {
    std::uint32_t code = 0;
    const std::string_view four = text_.substr(++at_, 4);
    const auto read = std::from_chars(four.data(), four.data() + four.size(), code, 16);
    if (four.size() != 4 || read.ptr != four.data() + 4) fail_at(at_, "four hexadecimal digits");
    at_ += 4;
    return code;
  }

  [[noreturn]] void fail_at(std::size_t at, std::string_view wanted) const {
    const std::string_view before = text_.substr(0, at);
    const std::size_t line_start = before.rfind('\n') + 1;  // 0 without one
    const auto is_start = [](char c) { return static_cast<unsigned char>(c) >> 6 != 2; };
    fail<io_error>("{}: not valid JSON at line {}, column {}: {} is wanted, but there is {}", file_,
                   1 + std::ranges::count(before, '\n'),
                   1 + std::ranges::count_if(before.substr(line_start), is_start), wanted, found_at(at));
  }
  [[nodiscard]] std::string found_at(std::size_t at) const {
    if (at == text_.size()) return "the end";
    const std::size_t bytes = well_formed_character(text_.substr(at, 4));
    const auto code = static_cast<unsigned char>(text_[at]);
    if (bytes == 0 || code < 0x20 || code == 0x7F) return fmt::format("the byte {:#04x}", code);
    return fmt::format("'{}'", text_.substr(at, bytes));
  }

  std::string_view text_, file_;
  json_budget& budget_;
  Events& events_;
  std::size_t at_ = 0, depth_ = 0;
  std::string buffer_;
};

}  // namespace detail

}  // namespace zoqat::io

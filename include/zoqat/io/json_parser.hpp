// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

/// The only header that includes a JSON library: its parser, with limits and messages that say what is wrong where.
using json = nlohmann::json;

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

inline constexpr std::size_t longest_excerpt = 160;

/// The start of a text that comes from a file, for messages.
inline std::string excerpt(std::string_view text) {
  return text.size() <= longest_excerpt ? std::string(text) : std::string(text.substr(0, longest_excerpt)) + "...";
}

/// The longest stretches of a text from where a string or a number begins to where the next one does: the library's
/// parser holds each as a whole, a few times over.
struct json_stretches {
  std::size_t token = 0;    ///< the longest that begins with a string or a number and has no more than that
  std::size_t between = 0;  ///< the longest of all else: white space, brackets, words

  explicit json_stretches(std::string_view text) {
    const auto starts_number = [](char c) { return c == '-' || (c >= '0' && c <= '9'); };
    std::size_t since = 0;  // the end of the last token
    for (std::size_t i = 0; i < text.size();) {
      const std::size_t first = i;
      if (text[i] == '"') {
        for (++i; i < text.size() && text[i] != '"';) i += text[i] == '\\' ? 2 : 1;
        ++i;
      } else if (starts_number(text[i])) {
        while (i < text.size() && (starts_number(text[i]) || std::string_view(".eE+").find(text[i]) != text.npos))
          ++i;
      } else {
        ++i;
        continue;
      }
      between = std::max(between, first - since);
      token = std::max(token, std::min(i, text.size()) - first);
      since = i;
    }
    between = std::max(between, text.size() - std::min(since, text.size()));
  }
};

/// Counts the memory of a value that grows, and refuses more than a text of that length may take.
class json_budget {
 public:
  /// Throws io_error for a text that is too long, or of which a stretch alone takes too much.
  json_budget(std::string_view text, std::string_view file, const json_limits& limits = {})
      : file_(file), text_(text.size()), most_(limits.memory_per_byte * text.size() + limits.memory) {
    require<io_error>(text_ <= limits.bytes, "{}: {} bytes of JSON, more than the {} that are read", file, text_,
                      limits.bytes);
    const json_stretches longest(text);
    require<io_error>(longest.between <= longest_between,
                      "{}: {} bytes of JSON without a text or a number, more than the {} that are read", file,
                      longest.between, longest_between);
    take(parser_copies * longest.token);
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
  static constexpr std::size_t longest_between = std::size_t{1} << 20;
  /// How often the parser holds a token at worst: two buffers that double as they grow, and four in a message.
  static constexpr std::size_t parser_copies = 9;

  std::string_view file_;
  std::size_t text_, most_, taken_ = 0;
};

/// The message of the library's parser without its own name and place.
[[nodiscard]] inline std::string_view json_complaint(std::string_view message) {
  if (message.starts_with('[')) message.remove_prefix(std::min(message.find("] "), message.size() - 2) + 2);
  if (message.starts_with("parse error at "))
    message.remove_prefix(std::min(message.find(": "), message.size() - 2) + 2);
  return message;
}

/// Throws the io_error for a text of which the parser has read `taken` bytes, the last of them what it refuses.
[[noreturn]] inline void fail_json_at(std::string_view text, std::string_view file, std::size_t taken,
                                      std::string_view complaint) {
  const std::string_view before = text.substr(0, std::clamp<std::size_t>(taken, 1, text.size() + 1) - 1);
  const std::size_t line_start = before.rfind('\n') + 1;  // 0 without one
  const auto is_start = [](char c) { return static_cast<unsigned char>(c) >> 6 != 2; };
  fail<io_error>("{}: not valid JSON at line {}, column {}: {}", file, 1 + std::ranges::count(before, '\n'),
                 1 + std::ranges::count_if(before.substr(line_start), is_start), excerpt(complaint));
}

/// Hands the events of the library's parser on: null(), boolean(bool), number_unsigned(u64), number_integer(i64),
/// number_float(double), string(view), start_object(), key(view), end_object(), start_array(), end_array(). A view is
/// valid during its call.
template <class Events>
class json_events {
 public:
  json_events(std::string_view text, std::string_view file, Events& events)
      : text_(text), file_(file), events_(events) {}

  bool null() { return events_.null(), true; }
  bool boolean(bool value) { return events_.boolean(value), true; }
  bool number_integer(std::int64_t value) { return events_.number_integer(value), true; }
  bool number_unsigned(std::uint64_t value) { return events_.number_unsigned(value), true; }
  bool number_float(double value, const std::string&) { return events_.number_float(value), true; }
  bool string(const std::string& value) { return events_.string(std::string_view(value)), true; }
  bool binary(const json::binary_t&) { return false; }  // texts have none
  bool key(const std::string& name) { return events_.key(std::string_view(name)), true; }
  bool start_object(std::size_t) { return open(), events_.start_object(), true; }
  bool start_array(std::size_t) { return open(), events_.start_array(), true; }
  bool end_object() { return --depth_, events_.end_object(), true; }
  bool end_array() { return --depth_, events_.end_array(), true; }
  [[noreturn]] bool parse_error(std::size_t taken, const std::string&, const json::exception& error) {
    fail_json_at(text_, file_, taken, json_complaint(error.what()));
  }

 private:
  void open() {
    require<io_error>(++depth_ <= max_json_depth, "{}: JSON nested deeper than {}", file_, max_json_depth);
  }

  std::string_view text_, file_;
  Events& events_;
  std::size_t depth_ = 0;
};

/// Hands what stands in a text to `events` (see json_events), in time linear in it. Integers that fit no 64 bits are
/// floats. Throws io_error, with the file, line, column and what was expected there, for what is no JSON, numbers
/// that no double holds and nesting deeper than `max_json_depth`.
template <class Events>
void parse_json_events(std::string_view text, std::string_view file, Events& events) {
  const std::size_t zero = text.find('\0');  // which the parser would take for the end of the text
  if (zero != text.npos) fail_json_at(text, file, zero + 1, "a zero byte");
  json_events<Events> handler(text, file, events);
  json::sax_parse(text.begin(), text.end(), &handler);
}

}  // namespace detail

}  // namespace zoqat::io

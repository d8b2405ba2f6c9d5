// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// The only header that includes a JSON library: parsing with limits, and getters that say what is wrong where.
using json = nlohmann::json;

/// Longest text that is parsed unless a caller allows more, which bounds the memory that a hostile file can ask for.
/// It is also safetensors' own limit for its header.
inline constexpr std::size_t max_json_bytes = 100'000'000;
/// Deepest nesting that is parsed.
inline constexpr std::size_t max_json_depth = 64;
/// Memory that parsing takes at most beside some bytes for each byte of text. What would take more is refused: a few
/// bytes of text can make a value of a hundred.
inline constexpr std::size_t json_memory = std::size_t{64} << 20;
/// Those bytes for what describes a model, and for data sets and vocabularies: SQuAD takes 4.3, a tokenizer.json 4 to
/// 5, GPT-2's vocab.json 8.6.
inline constexpr std::size_t json_memory_per_byte = 2, json_memory_per_byte_of_data = 10;

namespace detail {

inline constexpr std::size_t longest_excerpt = 160;

/// The start of a text that comes from a file, for messages.
inline std::string excerpt(std::string_view text) {
  return text.size() <= longest_excerpt ? std::string(text) : std::string(text.substr(0, longest_excerpt)) + "...";
}

/// Appends the start of a value's text, some hundred bytes whatever its size.
inline void show(const json& value, std::string& to) {
  if (to.size() > longest_excerpt) return;
  if (value.is_string()) {
    to += json(excerpt(value.get_ref<const std::string&>())).dump(-1, ' ', false, json::error_handler_t::replace);
  } else if (value.is_structured()) {
    to += value.is_array() ? '[' : '{';
    for (auto member = value.begin(); member != value.end() && to.size() <= longest_excerpt; ++member) {
      if (member != value.begin()) to += ',';
      if (value.is_object()) show(json(excerpt(member.key())), to), to += ':';
      show(*member, to);
    }
    to += value.is_array() ? ']' : '}';
  } else {
    to += value.dump();
  }
}
inline std::string shown(const json& value) {
  std::string text;
  show(value, text);
  return excerpt(text);
}

/// The longest stretches of a text from where a string or a number begins to where the next one does: the parser
/// holds each as a whole, a few times over.
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
  /// Throws io_error for stretches of text that alone take too much.
  json_budget(std::string_view text, std::string_view file, std::size_t per_byte = json_memory_per_byte)
      : file_(file), text_(text.size()), most_(per_byte * text.size() + json_memory) {
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
  void take_allocation_of(const std::string& text) {
    if (text.size() > std::string().capacity()) take_allocation(text.size() + 1);
  }

 private:
  static constexpr std::size_t longest_between = std::size_t{1} << 20;
  /// How often the parser holds a token at worst: two buffers that double as they grow, and four in a message.
  static constexpr std::size_t parser_copies = 9;

  std::string_view file_;
  std::size_t text_, most_, taken_ = 0;
};

/// Makes values of the parser's events, in time linear in the text: nesting and memory are limited, and a key may
/// come once in an object. (The library's own parsers keep the last of several equal keys, so that two readers of one
/// file could disagree; the one that takes a filter looks through an object again after each of its members.)
class json_builder {
 public:
  json_builder(json& root, std::string_view file, json_budget& budget) : root_(root), file_(file), budget_(budget) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(json::number_integer_t value) { return add(value); }
  bool number_unsigned(json::number_unsigned_t value) { return add(value); }
  bool number_float(json::number_float_t value, const std::string&) { return add(value); }
  bool string(const std::string& value) {  // copied, since the parser's own has room to spare
    budget_.take_allocation(sizeof(std::string));
    budget_.take_allocation_of(value);
    return add(value);
  }
  bool binary(json::binary_t& value) { return add(std::move(value)); }
  bool start_object(std::size_t) {
    budget_.take_allocation(sizeof(json::object_t));
    return open(json::object());
  }
  bool start_array(std::size_t) {
    budget_.take_allocation(sizeof(json::array_t));
    return open(json::array());
  }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(const std::string& name) {
    budget_.take_allocation(sizeof(json::object_t::value_type) + tree_links);
    budget_.take_allocation_of(name);
    const auto [member, is_new] = open_.back()->get_ref<json::object_t&>().try_emplace(name);
    if (!is_new) fail<io_error>("{}: JSON key \"{}\" comes twice", file_, excerpt(member->first));
    member_ = &member->second;
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t, const std::string&, const Exception& error) {
    throw error;
  }

 private:
  template <class Value>
  bool add(Value&& value) {
    place() = std::forward<Value>(value);
    return true;
  }
  bool open(json value) {
    require<io_error>(open_.size() < max_json_depth, "{}: JSON nested deeper than {}", file_, max_json_depth);
    json& at = place();
    at = std::move(value);
    open_.push_back(&at);  // the array or object around it does not grow before it is closed
    return true;
  }
  bool close() {
    stacked_ -= open_.back()->size();
    open_.pop_back();
    return true;
  }
  /// Where the next value goes.
  json& place() {
    if (open_.empty()) return root_;
    count_for_destructor();
    if (open_.back()->is_object()) return *member_;
    return append(open_.back()->get_ref<json::array_t&>());
  }
  /// The destructor moves the members of a value, and of what it holds, into a vector that doubles as it grows.
  void count_for_destructor() {
    if (++stacked_ <= most_stacked_) return;
    most_stacked_ = stacked_;
    budget_.take(3 * sizeof(json));
  }
  json& append(json::array_t& array) {
    const std::size_t before = array.capacity() * sizeof(json);
    if (array.size() != array.capacity()) return array.emplace_back();
    budget_.take(std::max(2 * before, sizeof(json)));
    json& added = array.emplace_back();
    budget_.give_back(before);
    return added;
  }

  static constexpr std::size_t tree_links = 4 * sizeof(void*);  ///< of a member, beside its key and value

  json& root_;
  std::string_view file_;
  json_budget& budget_;
  std::vector<json*> open_;                     // objects and arrays around the next value
  json* member_ = nullptr;                      // of the innermost object, whose value comes next
  std::size_t stacked_ = 0, most_stacked_ = 0;  // values in the open arrays and objects
};

/// Hands on the members of an object one by one, so that a long one is never in memory as a whole. `f(name, value)`
/// is called for each; keys that come twice are its concern. `budget` has what is read and kept of the members so
/// far.
template <class F>
class json_members {
 public:
  json_members(std::string_view file, json_budget& budget, F& f) : file_(file), budget_(budget), f_(f) {}

  bool null() {
    return scalar([](json_builder& b) { return b.null(); });
  }
  bool boolean(bool value) {
    return scalar([&](json_builder& b) { return b.boolean(value); });
  }
  bool number_integer(json::number_integer_t value) {
    return scalar([&](json_builder& b) { return b.number_integer(value); });
  }
  bool number_unsigned(json::number_unsigned_t value) {
    return scalar([&](json_builder& b) { return b.number_unsigned(value); });
  }
  bool number_float(json::number_float_t value, const std::string& text) {
    return scalar([&](json_builder& b) { return b.number_float(value, text); });
  }
  bool string(const std::string& value) {
    return scalar([&](json_builder& b) { return b.string(value); });
  }
  bool binary(json::binary_t& value) {
    return scalar([&](json_builder& b) { return b.binary(value); });
  }
  bool start_object(std::size_t size) {
    if (depth_++ != 0) return builder_->start_object(size);
    return true;
  }
  bool start_array(std::size_t size) {
    require<io_error>(depth_++ != 0, "{}: an array, but a JSON object is wanted", file_);
    return builder_->start_array(size);
  }
  bool end_object() { return end(&json_builder::end_object); }
  bool end_array() { return end(&json_builder::end_array); }
  bool key(const std::string& name) {
    if (depth_ != 1) return builder_->key(name);
    name_ = name;
    value_ = nullptr;
    before_member_ = budget_.taken();
    builder_.emplace(value_, file_, budget_);
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t, const std::string&, const Exception& error) {
    throw error;
  }

 private:
  template <class Event>
  bool scalar(Event&& event) {
    require<io_error>(depth_ != 0, "{}: a JSON object is wanted", file_);
    event(*builder_);
    return finish();
  }
  bool end(bool (json_builder::*event)()) {
    if (--depth_ == 0) return true;
    ((*builder_).*event)();
    return finish();
  }
  /// Where the value of a member of the outermost object is whole.
  bool finish() {
    if (depth_ != 1) return true;
    const std::size_t of_member = budget_.taken() - before_member_;
    f_(name_, value_);
    budget_.give_back(of_member);
    return true;
  }

  std::string_view file_;
  json_budget& budget_;
  F& f_;
  std::string name_;
  json value_;
  std::optional<json_builder> builder_;
  std::size_t depth_ = 0, before_member_ = 0;
};

template <class T>
concept json_size = std::unsigned_integral<T> && !std::same_as<T, bool>;

template <class T>
constexpr std::string_view wanted() noexcept {
  if constexpr (std::same_as<T, bool>)
    return "true or false";
  else if constexpr (std::same_as<T, std::string>)
    return "a string";
  else if constexpr (json_size<T>)
    return "a non-negative integer";
  else
    return "a finite number";
}

/// `value` as T, or nothing. Numbers are not rounded, wrapped or taken from strings.
template <class T>
  requires std::same_as<T, bool> || std::same_as<T, std::string> || json_size<T> || std::floating_point<T>
std::optional<T> convert(const json& value) {
  if constexpr (std::same_as<T, bool>) {
    if (value.is_boolean()) return value.get<bool>();
  } else if constexpr (std::same_as<T, std::string>) {
    if (value.is_string()) return value.get<std::string>();
  } else if constexpr (json_size<T>) {
    // The parser makes an integer unsigned unless it is negative, but a program need not.
    if (value.is_number_integer() && (value.is_number_unsigned() || value.get<std::int64_t>() >= 0) &&
        value.get<std::uint64_t>() <= std::numeric_limits<T>::max())
      return value.get<T>();
  } else {
    if (value.is_number() && std::abs(value.get<double>()) <= std::numeric_limits<T>::max()) return value.get<T>();
  }
  return std::nullopt;
}

/// Hands the parser's events for `text` to `events`; throws as `parse_json` does.
template <class Events>
void parse_events(std::string_view text, std::string_view file, Events& events) {
  const std::size_t zero = text.find('\0');  // which the parser would take for the end of the text
  require<io_error>(zero == text.npos, "{}: not valid JSON at byte {}: a zero byte", file, zero + 1);
  try {
    json::sax_parse(text.begin(), text.end(), &events);
  } catch (const json::parse_error& error) {
    fail<io_error>("{}: not valid JSON at byte {}: {}", file, error.byte, excerpt(error.what()));
  } catch (const json::exception& error) {
    fail<io_error>("{}: not valid JSON: {}", file, excerpt(error.what()));
  }
}

/// Calls f(name, value) for the members of the object that `text` is; throws as `parse_json` does, but for keys of
/// that object that come twice. What `f` keeps it takes from `budget`.
template <class F>
void for_each_json_member(std::string_view text, std::string_view file, json_budget& budget, F&& f) {
  json_members<F> members(file, budget, f);
  parse_events(text, file, members);
}

}  // namespace detail

/// Parses `text`; `file` is named in messages. Throws io_error on malformed text (with the position), text
/// longer than `most_bytes`, nesting deeper than `max_json_depth`, keys that come twice, and what would take more
/// memory than `json_memory` and `per_byte` bytes for each byte of text.
[[nodiscard]] inline json parse_json(std::string_view text, std::string_view file,
                                     std::size_t most_bytes = max_json_bytes,
                                     std::size_t per_byte = json_memory_per_byte) {
  require<io_error>(text.size() <= most_bytes, "{}: {} bytes of JSON, more than the {} that are read", file,
                    text.size(), most_bytes);
  json value;
  detail::json_budget budget(text, file, per_byte);
  detail::json_builder builder(value, file, budget);
  detail::parse_events(text, file, builder);
  return value;
}

/// Parses the file `path`; throws as `parse_json` does.
[[nodiscard]] inline json read_json(const std::filesystem::path& path, std::size_t most_bytes = max_json_bytes,
                                    std::size_t per_byte = json_memory_per_byte) {
  const mapped_file file(path);
  return parse_json(require_file_kind(file, file_kind::json).text(), path.native(), most_bytes, per_byte);
}

/// `value` as text on one line. Throws value_error when a string in it is not UTF-8; `file` is where it goes.
[[nodiscard]] inline std::string dump_json(const json& value, std::string_view file) {
  try {
    return value.dump();
  } catch (const json::exception& error) {
    fail("{}: cannot be written as JSON: {}", file, detail::excerpt(error.what()));
  }
}

/// What `value`, found in `file` under `key`, is as a T: bool, std::string, an unsigned integer or a floating
/// type. Throws io_error with the file, the key and the value when it is not one.
template <class T>
[[nodiscard]] T as(const json& value, std::string_view key, std::string_view file) {
  auto converted = detail::convert<T>(value);
  if (!converted)
    fail<io_error>("{}: \"{}\" must be {}, but is {}", file, detail::excerpt(key), detail::wanted<T>(),
                   detail::shown(value));
  return *std::move(converted);
}

/// The member `key` of `object`, or nothing when it is absent or null. Throws as `as` does, and when `object`
/// is no object.
template <class T>
[[nodiscard]] std::optional<T> get_if(const json& object, std::string_view key, std::string_view file) {
  require<io_error>(object.is_object(), "{}: a JSON object with \"{}\" is wanted, but there is {}", file, key,
                    object.type_name());
  const auto member = object.find(key);
  if (member == object.end() || member->is_null()) return std::nullopt;
  return as<T>(*member, key, file);
}

/// The member `key` of `object`. Throws io_error as `get_if` does, and when the member is absent or null.
template <class T>
[[nodiscard]] T get(const json& object, std::string_view key, std::string_view file) {
  auto member = get_if<T>(object, key, file);
  require<io_error>(member.has_value(), "{}: \"{}\" is missing", file, key);
  return *std::move(member);
}

}  // namespace zoqat::io

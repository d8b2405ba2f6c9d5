// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <nlohmann/json.hpp>

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

namespace detail {

/// The start of a text that comes from a file, for messages.
inline std::string excerpt(std::string_view text) {
  constexpr std::size_t longest = 160;
  return text.size() <= longest ? std::string(text) : std::string(text.substr(0, longest)) + "...";
}

inline std::string shown(const json& value) {
  return excerpt(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

/// Makes values of the parser's events, in time linear in the text: nesting is limited, and a key may come once in an
/// object. (The library's own parsers keep the last of several equal keys, so that two readers of one file could
/// disagree; the one that takes a filter looks through an object again after each of its members.)
class json_builder {
 public:
  json_builder(json& root, std::string_view file) : root_(root), file_(file) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(json::number_integer_t value) { return add(value); }
  bool number_unsigned(json::number_unsigned_t value) { return add(value); }
  bool number_float(json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(json::binary_t& value) { return add(std::move(value)); }
  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    const auto [member, is_new] = open_.back()->get_ref<json::object_t&>().try_emplace(std::move(name));
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
    open_.pop_back();
    return true;
  }
  /// Where the next value goes.
  json& place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_object()) return *member_;
    return open_.back()->get_ref<json::array_t&>().emplace_back();
  }

  json& root_;
  std::string_view file_;
  std::vector<json*> open_;  // objects and arrays around the next value
  json* member_ = nullptr;   // of the innermost object, whose value comes next
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

}  // namespace detail

/// Parses `text`; `file` is named in messages. Throws io_error on malformed text (with the position), text
/// longer than `most_bytes`, nesting deeper than `max_json_depth`, and keys that come twice.
[[nodiscard]] inline json parse_json(std::string_view text, std::string_view file,
                                     std::size_t most_bytes = max_json_bytes) {
  require<io_error>(text.size() <= most_bytes, "{}: {} bytes of JSON, more than the {} that are read", file,
                    text.size(), most_bytes);
  const std::size_t zero = text.find('\0');  // which the parser would take for the end of the text
  require<io_error>(zero == text.npos, "{}: not valid JSON at byte {}: a zero byte", file, zero + 1);
  try {
    json value;
    detail::json_builder builder(value, file);
    json::sax_parse(text.begin(), text.end(), &builder);
    return value;
  } catch (const json::parse_error& error) {
    fail<io_error>("{}: not valid JSON at byte {}: {}", file, error.byte, detail::excerpt(error.what()));
  } catch (const json::exception& error) {
    fail<io_error>("{}: not valid JSON: {}", file, detail::excerpt(error.what()));
  }
}

/// Parses the file `path`; throws as `parse_json` does.
[[nodiscard]] inline json read_json(const std::filesystem::path& path, std::size_t most_bytes = max_json_bytes) {
  const mapped_file file(path);
  return parse_json(file.text(), path.native(), most_bytes);
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

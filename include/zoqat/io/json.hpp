// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/json_parser.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

// JSON values of files, and getters that say what is wrong where.

namespace detail {

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

/// Makes values of a parser's events: memory is limited, and a key may come once in an object. (The JSON library's
/// own parsers keep the last of several equal keys, so that two readers of one file could disagree.)
class json_builder {
 public:
  json_builder(json& root, std::string_view file, json_budget& budget) : root_(root), file_(file), budget_(budget) {}

  void null() { add(nullptr); }
  void boolean(bool value) { add(value); }
  void number_integer(std::int64_t value) { add(value); }
  void number_unsigned(std::uint64_t value) { add(value); }
  void number_float(double value) { add(value); }
  void string(std::string_view value) {
    budget_.take_allocation(sizeof(std::string));
    budget_.take_allocation_of(value);
    add(std::string(value));
  }
  void start_object() {
    budget_.take_allocation(sizeof(json::object_t));
    open(json::object());
  }
  void start_array() {
    budget_.take_allocation(sizeof(json::array_t));
    open(json::array());
  }
  void end_object() { close(); }
  void end_array() { close(); }
  void key(std::string_view name) {
    budget_.take_allocation(sizeof(json::object_t::value_type) + tree_links);
    budget_.take_allocation_of(name);
    const auto [member, is_new] = open_.back()->get_ref<json::object_t&>().try_emplace(std::string(name));
    if (!is_new) fail<io_error>("{}: JSON key \"{}\" comes twice", file_, excerpt(member->first));
    member_ = &member->second;
  }

 private:
  template <class Value>
  void add(Value&& value) {
    place() = std::forward<Value>(value);
  }
  void open(json value) {
    json& at = place();
    at = std::move(value);
    open_.push_back(&at);  // the array or object around it does not grow before it is closed
  }
  void close() {
    stacked_ -= open_.back()->size();
    open_.pop_back();
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

}  // namespace detail

/// A value that is handed on by itself: a member or an element of one of the places that a caller names.
struct json_part {
  std::size_t place = 0;    ///< which of them
  bool in_object = false;   ///< whether that is an object, and not an array
  std::string_view name{};  ///< of the member; valid during the call
  std::size_t index = 0;    ///< of the element or the member
  json& value;              ///< which the caller may take
};

namespace detail {

/// Makes a value of a parser's events, but for the members and elements of some places in it: each of those is handed
/// on and forgotten, so that a long list of them is never in memory as a whole. `budget` has what is read of the one
/// at hand, of all else, and what `f` takes for what it keeps.
template <class F>
class json_parts {
 public:
  json_parts(json& root, std::string_view file, json_budget& budget, std::span<const std::string_view> places, F& f)
      : file_(file), budget_(budget), places_(places), f_(f), whole_(root, file, budget) {}

  void null() {
    scalar([](json_builder& b) { b.null(); });
  }
  void boolean(bool value) {
    scalar([&](json_builder& b) { b.boolean(value); });
  }
  void number_integer(std::int64_t value) {
    scalar([&](json_builder& b) { b.number_integer(value); });
  }
  void number_unsigned(std::uint64_t value) {
    scalar([&](json_builder& b) { b.number_unsigned(value); });
  }
  void number_float(double value) {
    scalar([&](json_builder& b) { b.number_float(value); });
  }
  void string(std::string_view value) {
    scalar([&](json_builder& b) { b.string(value); });
  }
  void start_object() { start(true); }
  void start_array() { start(false); }
  void end_object() { end(true); }
  void end_array() { end(false); }
  void key(std::string_view name) {
    if (inside_ && depth_ == 0) return begin_part(name);
    if (inside_) return part_->key(name);
    whole_.key(name);
    next_.assign(name.substr(0, longest_name));
  }

 private:
  static constexpr std::size_t longest_name = 64;  ///< of those that places are made of

  void start(bool object) {
    json_builder& to = target();
    object ? to.start_object() : to.start_array();
    if (inside_) {
      ++depth_;
      return;
    }
    lengths_.push_back(path_.size());
    if (lengths_.size() > 1) path_.append("/").append(std::exchange(next_, {}));
    const auto found = std::ranges::find(places_, std::string_view(path_));
    if (found == places_.end()) return;
    inside_ = true;
    in_object_ = object;
    place_ = static_cast<std::size_t>(found - places_.begin());
    index_ = 0;
  }
  void end(bool object) {
    if (inside_ && depth_ == 0) {
      inside_ = false;
      part_.reset();
    }
    json_builder& to = inside_ ? *part_ : whole_;
    object ? to.end_object() : to.end_array();
    if (inside_) {
      --depth_;
      return finish();
    }
    path_.resize(lengths_.back());
    lengths_.pop_back();
  }
  template <class Event>
  void scalar(Event&& event) {
    event(target());
    if (inside_) return finish();
    next_.clear();
  }
  /// What the next value goes to.
  json_builder& target() {
    if (!inside_) return whole_;
    if (depth_ == 0 && !in_object_) begin_part({});
    return *part_;
  }
  void begin_part(std::string_view name) {
    if (name.size() > name_.capacity()) budget_.take_allocation(2 * name.size());
    name_.assign(name);
    value_ = nullptr;
    before_ = budget_.taken();
    part_.emplace(value_, file_, budget_);
  }
  /// Where a part may be whole.
  void finish() {
    if (depth_ != 0) return;
    const std::size_t of_part = budget_.taken() - before_;
    f_(json_part{.place = place_, .in_object = in_object_, .name = name_, .index = index_++, .value = value_});
    budget_.give_back(of_part);
  }

  std::string_view file_;
  json_budget& budget_;
  std::span<const std::string_view> places_;
  F& f_;
  json_builder whole_;
  std::optional<json_builder> part_;
  json value_;
  std::string name_, next_, path_;    ///< of the part; of the next member; of the innermost open value
  std::vector<std::size_t> lengths_;  ///< of the paths around it
  bool inside_ = false, in_object_ = false;
  std::size_t place_ = 0, index_ = 0, depth_ = 0, before_ = 0;
};

/// `json_parts` of a text; throws as `parse_json` does.
template <class F>
json for_each_json_part(std::string_view text, std::string_view file, std::span<const std::string_view> places,
                        json_budget& budget, F&& f) {
  json rest;
  json_parts<F> parts(rest, file, budget, places, f);
  parse_json_events(text, file, parts);
  return rest;
}

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

/// Parses `text`; `file` is named in messages. Throws io_error on malformed text (with line and column), nesting
/// deeper than `max_json_depth`, keys that come twice, and what is longer or would take more memory than `limits`.
[[nodiscard]] inline json parse_json(std::string_view text, std::string_view file, const json_limits& limits = {}) {
  json value;
  detail::json_budget budget(text, file, limits);
  detail::json_builder builder(value, file, budget);
  detail::parse_json_events(text, file, builder);
  return value;
}

/// The same in parts: the members and elements of what stands at `places` (JSON pointers: "" is all of the text,
/// "/data" its member "data") are handed to f(json_part) in the order of the text and are not in memory together.
/// They are not in what is returned either, where their object or array is empty. Keys that come twice there are the
/// caller's concern. Throws as above, where the largest part and all that is not in parts count as memory.
template <class F>
json parse_json_parts(std::string_view text, std::string_view file, std::initializer_list<std::string_view> places,
                      F&& f, const json_limits& limits = {}) {
  detail::json_budget budget(text, file, limits);
  return detail::for_each_json_part(text, file, {places.begin(), places.size()}, budget, f);
}

/// Whether `text` is JSON that `parse_json` reads.
[[nodiscard]] inline bool is_json(std::string_view text) {
  try {
    static_cast<void>(parse_json_parts(text, {}, {""}, [](const json_part&) {}, {.bytes = text.size()}));
    return true;
  } catch (const io_error&) {
    return false;
  }
}

/// Parses the file `path`; throws as `parse_json` does.
[[nodiscard]] inline json read_json(const std::filesystem::path& path) {
  const mapped_file file(path);
  return parse_json(require_file_kind(file, file_kind::json).text(), path.native());
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

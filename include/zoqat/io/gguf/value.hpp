// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/tensor.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// The types of metadata, by the numbers that files use.
enum class value_type : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

inline constexpr std::array<std::string_view, 13> value_type_names{
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
/// Bytes of a value; 0 for those whose length varies.
inline constexpr std::array<std::size_t, 13> value_type_sizes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

[[nodiscard]] constexpr std::string_view value_type_name(value_type type) noexcept {
  return value_type_names[static_cast<std::size_t>(type)];
}

namespace detail {

template <class T>
struct value_type_of;
template <class T, value_type Type>
struct value_type_is {
  static constexpr value_type value = Type;
};
template <>
struct value_type_of<std::uint8_t> : value_type_is<std::uint8_t, value_type::u8> {};
template <>
struct value_type_of<std::int8_t> : value_type_is<std::int8_t, value_type::i8> {};
template <>
struct value_type_of<std::uint16_t> : value_type_is<std::uint16_t, value_type::u16> {};
template <>
struct value_type_of<std::int16_t> : value_type_is<std::int16_t, value_type::i16> {};
template <>
struct value_type_of<std::uint32_t> : value_type_is<std::uint32_t, value_type::u32> {};
template <>
struct value_type_of<std::int32_t> : value_type_is<std::int32_t, value_type::i32> {};
template <>
struct value_type_of<float> : value_type_is<float, value_type::f32> {};
template <>
struct value_type_of<bool> : value_type_is<bool, value_type::boolean> {};
template <>
struct value_type_of<std::uint64_t> : value_type_is<std::uint64_t, value_type::u64> {};
template <>
struct value_type_of<std::int64_t> : value_type_is<std::int64_t, value_type::i64> {};
template <>
struct value_type_of<double> : value_type_is<double, value_type::f64> {};

template <class T>
void append_value(std::string& to, T x) {
  to.append(reinterpret_cast<const char*>(&x), sizeof(T));
}
inline void append_text(std::string& to, std::string_view text) {
  append_value(to, std::uint64_t{text.size()});
  to += text;
}

/// Takes the fields of a file front to back, each checked against what is left. `where` names it in messages.
class cursor {
 public:
  cursor(std::string_view bytes, std::string_view source) : all_(bytes), rest_(bytes), source_(source) {}

  [[nodiscard]] std::size_t position() const noexcept { return all_.size() - rest_.size(); }
  [[nodiscard]] std::size_t left() const noexcept { return rest_.size(); }
  [[nodiscard]] std::string_view source() const noexcept { return source_; }
  /// The bytes from `first` to here.
  [[nodiscard]] std::string_view since(std::size_t first) const noexcept {
    return all_.substr(first, position() - first);
  }

  std::string_view bytes(std::uint64_t count, std::string_view where) {
    require<io_error>(count <= rest_.size(), "{}: {}: {} bytes are wanted at byte {}, but the file ends {} later",
                      source_, where, count, position(), rest_.size());
    const std::string_view taken = rest_.substr(0, static_cast<std::size_t>(count));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  template <class T>
  T take(std::string_view where) {
    T x;
    std::memcpy(&x, bytes(sizeof(T), where).data(), sizeof(T));
    return x;
  }
  std::string_view text(std::string_view where) { return bytes(take<std::uint64_t>(where), where); }
  /// A number of things of at least `least` bytes each.
  std::size_t count(std::size_t least, std::string_view where) {
    const auto n = take<std::uint64_t>(where);
    require<io_error>(n <= left() / least, "{}: {}: {} are more than the {} bytes that follow can hold", source_,
                      where, n, left());
    return static_cast<std::size_t>(n);
  }
  value_type type(std::string_view where) {
    const auto number = take<std::uint32_t>(where);
    require<io_error>(number < value_type_names.size(), "{}: {}: {} is no type of metadata", source_, where, number);
    return static_cast<value_type>(number);
  }

 private:
  std::string_view all_, rest_, source_;
};

/// Arrays may hold arrays, to this depth.
inline constexpr int max_array_depth = 8;

/// Goes over a value, all of it checked.
inline void skip_value(cursor& in, value_type type, std::string_view where, int depth = 0) {
  if (type == value_type::string) {
    in.text(where);
  } else if (type == value_type::array) {
    require<io_error>(depth < max_array_depth, "{}: {}: arrays in arrays, more than {} deep", in.source(), where,
                      max_array_depth);
    const value_type element = in.type(where);
    const std::size_t size = value_type_sizes[static_cast<std::size_t>(element)];
    const std::size_t n = in.count(size != 0 ? size : element == value_type::string ? 8 : 12, where);
    if (size != 0) {
      in.bytes(n * size, where);
      return;
    }
    for (std::size_t i = 0; i != n; ++i) skip_value(in, element, where, depth + 1);
  } else {
    in.bytes(value_type_sizes[static_cast<std::size_t>(type)], where);
  }
}

}  // namespace detail

/// A C++ type that a value of metadata holds bit for bit.
template <class T>
concept scalar = requires { detail::value_type_of<T>::value; };

/// A value of metadata: its type, and its bytes as a file has them after the type, so that what is read is written
/// again as it was.
class value {
 public:
  template <scalar T>
  value(T x) : type_(detail::value_type_of<T>::value) {
    detail::append_value(bytes_, x);
  }
  value(std::string_view text) : type_(value_type::string) { detail::append_text(bytes_, text); }
  value(const char* text) : value(std::string_view(text)) {}
  value(const std::string& text) : value(std::string_view(text)) {}
  template <scalar T>
  value(const std::vector<T>& elements)
    requires(!std::same_as<T, bool>)
      : type_(value_type::array) {
    begin_array(detail::value_type_of<T>::value, elements.size());
    for (const T x : elements) detail::append_value(bytes_, x);
  }
  value(const std::vector<std::string>& elements) : type_(value_type::array) {
    begin_array(value_type::string, elements.size());
    for (const std::string& text : elements) detail::append_text(bytes_, text);
  }

  /// The next value of a file, of that type. Throws io_error unless all of it is there.
  static value read(detail::cursor& in, value_type type, std::string_view where) {
    const std::size_t first = in.position();
    detail::skip_value(in, type, where);
    return {type, std::string(in.since(first))};
  }

  [[nodiscard]] value_type type() const noexcept { return type_; }
  [[nodiscard]] std::string_view bytes() const noexcept { return bytes_; }
  /// What it is, in words: "u32", "array of string".
  [[nodiscard]] std::string type_text() const {
    if (type_ != value_type::array) return std::string(value_type_name(type_));
    return fmt::format("array of {}", value_type_name(element_type()));
  }

  /// The value, if it has that type exactly.
  template <scalar T>
  [[nodiscard]] std::optional<T> get_if() const {
    if (type_ != detail::value_type_of<T>::value) return std::nullopt;
    return load<T>(0);
  }
  /// An integer of any width and sign, if it is one and not negative.
  [[nodiscard]] std::optional<std::uint64_t> unsigned_if() const {
    return first_unsigned<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                          std::uint64_t, std::int64_t>();
  }
  [[nodiscard]] std::optional<std::string_view> text_if() const {
    if (type_ != value_type::string) return std::nullopt;
    return std::string_view(bytes_).substr(8);
  }
  /// The elements of an array of T, or of std::string.
  template <class T>
  [[nodiscard]] std::optional<std::vector<T>> array_if() const {
    constexpr bool texts = std::same_as<T, std::string>;
    if (type_ != value_type::array) return std::nullopt;
    detail::cursor in(bytes_, "");
    const value_type element = in.type("");
    const auto n = in.take<std::uint64_t>("");
    std::vector<T> elements;
    if constexpr (texts) {
      if (element != value_type::string) return std::nullopt;
      elements.reserve(static_cast<std::size_t>(n));
      for (std::uint64_t i = 0; i != n; ++i) elements.emplace_back(in.text(""));
    } else {
      if (element != detail::value_type_of<T>::value) return std::nullopt;
      elements.reserve(static_cast<std::size_t>(n));
      for (std::uint64_t i = 0; i != n; ++i) elements.push_back(in.take<T>(""));
    }
    return elements;
  }

  /// How many texts an array of them has; nothing for another value.
  [[nodiscard]] std::optional<std::size_t> texts_if() const {
    if (type_ != value_type::array || element_type() != value_type::string) return std::nullopt;
    return static_cast<std::size_t>(load<std::uint64_t>(sizeof(std::uint32_t)));
  }
  /// Calls f(text) for those texts, which are valid as long as the value.
  template <class F>
  void for_each_text(F&& f) const {
    detail::cursor in(bytes_, "");
    static_cast<void>(in.type(""));
    for (auto n = in.take<std::uint64_t>(""); n != 0; --n) f(in.text(""));
  }

  friend bool operator==(const value&, const value&) = default;

 private:
  value(value_type type, std::string bytes) : type_(type), bytes_(std::move(bytes)) {}

  template <class T, class... Rest>
  [[nodiscard]] std::optional<std::uint64_t> first_unsigned() const {
    if (const auto x = get_if<T>()) return *x < T{} ? std::nullopt : std::optional(static_cast<std::uint64_t>(*x));
    if constexpr (sizeof...(Rest) != 0)
      return first_unsigned<Rest...>();
    else
      return std::nullopt;
  }
  void begin_array(value_type element, std::size_t n) {
    detail::append_value(bytes_, static_cast<std::uint32_t>(element));
    detail::append_value(bytes_, std::uint64_t{n});
  }
  [[nodiscard]] value_type element_type() const { return static_cast<value_type>(load<std::uint32_t>(0)); }
  template <class T>
  [[nodiscard]] T load(std::size_t at) const {
    if constexpr (std::same_as<T, bool>) {
      return bytes_[at] != 0;  // other bytes than 0 and 1 are no bool
    } else {
      T x;
      std::memcpy(&x, bytes_.data() + at, sizeof(T));
      return x;
    }
  }

  value_type type_;
  std::string bytes_;
};

/// Metadata in the order of a file.
using metadata = std::vector<std::pair<std::string, value>>;

/// The value of that key, or null.
[[nodiscard]] inline const value* find(const metadata& entries, std::string_view key) noexcept {
  for (const auto& [name, value] : entries)
    if (name == key) return &value;
  return nullptr;
}

}  // namespace zoqat::io::gguf

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/json.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::io {

/// A value in a JSON file and the way to it, as in `file.json: data[3].title`, which every message names. The value
/// must outlive it.
class json_place {
 public:
  json_place(const json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  [[nodiscard]] const json& value() const noexcept { return *value_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// The member of that name, or nothing where it is absent or null. Throws io_error if this is no object.
  [[nodiscard]] std::optional<json_place> find(std::string_view key) const {
    require<io_error>(value_->is_object(), "{}: a JSON object with \"{}\" is wanted, but there is {}", path_, key,
                      detail::shown(*value_));
    const auto member = value_->find(key);
    if (member == value_->end() || member->is_null()) return std::nullopt;
    return json_place(*member, fmt::format("{}{}{}", path_, path_.ends_with(' ') ? "" : ".", key));
  }
  /// The member of that name. Throws io_error as `find` does, and where it is absent or null.
  [[nodiscard]] json_place operator[](std::string_view key) const {
    auto member = find(key);
    require<io_error>(member.has_value(), "{}: \"{}\" is missing", path_, key);
    return *std::move(member);
  }
  /// Calls f(place) for the elements of an array. Throws io_error if this is none.
  template <class F>
  void for_each(F&& f) const {
    require<io_error>(value_->is_array(), "{}: an array is wanted, but there is {}", path_, detail::shown(*value_));
    for (std::size_t i = 0; i != value_->size(); ++i) f(json_place((*value_)[i], fmt::format("{}[{}]", path_, i)));
  }
  /// Calls f(key, place) for the members of an object. Throws io_error if this is none.
  template <class F>
  void for_each_member(F&& f) const {
    require<io_error>(value_->is_object(), "{}: an object is wanted, but there is {}", path_, detail::shown(*value_));
    for (const auto& [key, member] : value_->items()) f(key, (*this)[key]);
  }
  /// The value as a T: bool, std::string, an unsigned integer or a floating type. Throws io_error otherwise.
  template <class T>
  [[nodiscard]] T as() const {
    auto converted = detail::convert<T>(*value_);
    if (!converted)
      fail<io_error>("{}: {} is wanted, but there is {}", path_, detail::wanted<T>(), detail::shown(*value_));
    return *std::move(converted);
  }
  [[nodiscard]] std::string text() const { return as<std::string>(); }

 private:
  const json* value_;
  std::string path_;
};

}  // namespace zoqat::io

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/gguf/content.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// A GGUF file, mapped. Opening reads and checks everything but the bytes of tensors; the views stay valid when the
/// object is moved.
class file {
 public:
  /// Throws io_error as `mapped_file` and `parse` do.
  explicit file(const std::filesystem::path& path)
      : file_(path), content_(parse(require_file_kind(file_, file_kind::gguf).bytes(), path.native())) {
    for (std::size_t i = 0; i != tensors().size(); ++i) tensors_.emplace(tensors()[i].name, i);
    for (std::size_t i = 0; i != metadata().size(); ++i) keys_.emplace(metadata()[i].first, i);
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return file_.path(); }
  [[nodiscard]] const gguf::content& content() const noexcept { return content_; }
  [[nodiscard]] const gguf::metadata& metadata() const noexcept { return content_.metadata; }
  /// All tensors in the order of the file.
  [[nodiscard]] std::span<const tensor> tensors() const noexcept { return content_.tensors; }
  /// The tensor of that name, or null.
  [[nodiscard]] const tensor* find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &tensors()[found->second];
  }
  /// The value of that key, or null.
  [[nodiscard]] const value* find_value(std::string_view key) const {
    const auto found = keys_.find(key);
    return found == keys_.end() ? nullptr : &metadata()[found->second].second;
  }

  /// The value of a key, if there is one: std::size_t takes any integer that is not negative, std::string a text, a
  /// vector an array of just that type, another T a value of just that type. Throws io_error, with the file, the key
  /// and what it is, for one of another type.
  template <class T>
  [[nodiscard]] std::optional<T> get_if(std::string_view key) const {
    const value* const stored = find_value(key);
    if (!stored) return std::nullopt;
    std::optional<T> result;
    if constexpr (std::same_as<T, std::size_t>)
      result = stored->unsigned_if();
    else if constexpr (std::same_as<T, std::string>)
      result = stored->text_if();
    else if constexpr (scalar<T>)
      result = stored->get_if<T>();
    else
      result = stored->array_if<typename T::value_type>();
    require<io_error>(result.has_value(), "{}: {}: holds a {}, but {} is wanted", path().native(), key,
                      stored->type_text(), wanted<T>());
    return result;
  }
  /// The same of a key that must be there.
  template <class T>
  [[nodiscard]] T get(std::string_view key) const {
    auto result = get_if<T>(key);
    require<io_error>(result.has_value(), "{}: the metadata lack '{}', {}", path().native(), key, wanted<T>());
    return *std::move(result);
  }

  /// Gives back the memory that reading a part of a tensor took.
  void release_pages(std::span<const std::byte> part) const noexcept { file_.release_pages(part); }

 private:
  template <class T>
  static std::string_view wanted() {
    if constexpr (std::same_as<T, std::size_t>)
      return "an integer of at least 0";
    else if constexpr (std::same_as<T, std::string>)
      return "a string";
    else if constexpr (scalar<T>)
      return value_type_name(detail::value_type_of<T>::value);
    else
      return "an array of another type";
  }

  mapped_file file_;
  gguf::content content_;
  // By names in `content_`, which stay where they are: moving vectors moves no elements.
  std::unordered_map<std::string_view, std::size_t> tensors_, keys_;
};

}  // namespace zoqat::io::gguf

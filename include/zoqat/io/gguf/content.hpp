// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/tensor_type.hpp>
#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/tensor.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

/// The GGUF format (github.com/ggml-org/ggml, docs/gguf.md), version 2 or 3, little-endian: "GGUF", u32 version, u64
/// number of tensors, u64 number of keys; for each key its name, u32 type and value; for each tensor its name, u32
/// number of dimensions, the dimensions as u64, innermost first, u32 type, u64 offset into the data. The data begins
/// at the next multiple of the alignment, which the key general.alignment sets, and so does every tensor in it.

namespace zoqat::inline ZOQAT_ABI::io::gguf {

inline constexpr std::string_view magic = "GGUF";
inline constexpr std::uint32_t newest_version = 3;
inline constexpr std::string_view alignment_key = "general.alignment";
inline constexpr std::uint32_t default_alignment = 32;
/// As many as engines read.
inline constexpr std::size_t max_dimensions = 4;
/// Most keys and most tensors of a file: ten times as many as any model has. A few bytes name one, which takes some
/// hundred in memory.
inline constexpr std::size_t max_keys = std::size_t{1} << 16, max_tensors = std::size_t{1} << 16;

/// A tensor but for its bytes. `shape` has the outermost dimension first, as everywhere in this library.
struct tensor_info {
  std::string name;
  tensor_type type = tensor_type::f32;
  std::vector<std::size_t> shape;

  friend bool operator==(const tensor_info&, const tensor_info&) = default;
};

/// Bytes of a tensor; nothing when they do not fit, or when blocks do not divide its rows.
[[nodiscard]] inline std::optional<std::size_t> checked_bytes(const tensor_info& tensor) noexcept {
  const tensor_type_info& type = info_of(tensor.type);
  const std::size_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  const auto count = checked_product(tensor.shape);
  std::size_t bytes = 0;
  if (!count || row % type.elements != 0 || __builtin_mul_overflow(*count / type.elements, type.bytes, &bytes))
    return std::nullopt;
  return bytes;
}

/// A tensor and where its bytes lie.
struct tensor : tensor_info {
  std::span<const std::byte> data;
};

/// What a file holds. The bytes of tensors lie in the memory that it was parsed from.
struct content {
  std::uint32_t version = newest_version;
  gguf::metadata metadata;
  std::vector<tensor> tensors;
  bool padded_end = true;  ///< what comes last is padded like the rest, as writers of today do
};

/// The alignment that metadata ask for. Throws Error, with `source` and the value, for one that is no power of 2.
template <class Error = io_error>
[[nodiscard]] std::size_t alignment_of(const metadata& entries, std::string_view source) {
  const value* const stored = find(entries, alignment_key);
  if (!stored) return default_alignment;
  const auto alignment = stored->get_if<std::uint32_t>();
  require<Error>(alignment.has_value(), "{}: {}: a {}, but u32 is wanted", source, alignment_key,
                 stored->type_text());
  require<Error>(std::has_single_bit(*alignment), "{}: {}: {} is no power of 2", source, alignment_key, *alignment);
  return *alignment;
}

namespace detail {

[[nodiscard]] constexpr std::size_t padding(std::size_t size, std::size_t alignment) noexcept {
  return (alignment - size % alignment) % alignment;
}

inline std::uint32_t read_version(cursor& in) {
  require<io_error>(in.left() >= magic.size() && in.bytes(magic.size(), "magic") == magic,
                    "{}: not a GGUF file: it does not begin with '{}'", in.source(), magic);
  const auto version = in.take<std::uint32_t>("version");
  require<io_error>(version >= 2 && version <= newest_version,
                    "{}: GGUF version {}, but 2 and {} are read: convert it with the tools that made it", in.source(),
                    version, newest_version);
  return version;
}

inline metadata read_metadata(cursor& in, std::size_t count) {
  metadata entries;
  entries.reserve(count);
  std::unordered_set<std::string_view> keys;  // of the file's memory
  for (std::size_t i = 0; i != count; ++i) {
    const std::string_view key = in.text(fmt::format("key {}", i));
    require<io_error>(keys.insert(key).second, "{}: the key '{}' comes twice", in.source(), key);
    const value_type type = in.type(key);
    entries.emplace_back(key, value::read(in, type, key));
  }
  return entries;
}

/// The bytes that a tensor takes. Throws io_error where there is no such number.
inline std::size_t bytes_of(const tensor_info& tensor, std::string_view source) {
  const tensor_type_info& type = info_of(tensor.type);
  require<io_error>(tensor.shape.back() % type.elements == 0,
                    "{}: tensor '{}': rows of {} do not divide into blocks of {} ({})", source, tensor.name,
                    tensor.shape.back(), type.elements, type.name);
  const auto bytes = checked_bytes(tensor);
  require<io_error>(bytes.has_value(), "{}: tensor '{}': shape [{}] is out of range", source, tensor.name,
                    fmt::join(tensor.shape, ", "));
  return *bytes;
}

/// A tensor's entry but for its bytes, and the offset that it gives.
inline std::pair<tensor_info, std::uint64_t> read_tensor_info(cursor& in, std::size_t index) {
  tensor_info tensor;
  tensor.name = in.text(fmt::format("tensor {}", index));
  const std::string where = fmt::format("tensor '{}'", tensor.name);
  const auto dimensions = in.take<std::uint32_t>(where);
  require<io_error>(dimensions >= 1 && dimensions <= max_dimensions, "{}: {}: {} dimensions, but 1 to {} are wanted",
                    in.source(), where, dimensions, max_dimensions);
  tensor.shape.resize(dimensions);
  for (std::size_t d = dimensions; d-- != 0;) {
    const auto extent = in.take<std::uint64_t>(where);
    require<io_error>(extent >= 1, "{}: {}: dimension {} is 0", in.source(), where, d);
    tensor.shape[d] = static_cast<std::size_t>(extent);
  }
  const auto number = in.take<std::uint32_t>(where);
  const tensor_type_info* const type = find_tensor_type(number);
  require<io_error>(type != nullptr, "{}: {}: type {} is not known to this version of the library", in.source(),
                    where, number);
  tensor.type = type->type;
  return {std::move(tensor), in.take<std::uint64_t>(where)};
}

}  // namespace detail

/// Reads a file that lies in memory. `source` names it in messages. Every count, length and offset is checked against
/// the bytes there are before it is used. Throws io_error, with the key or the tensor and the offending value, on
/// anything the format forbids; tensors must follow one another as their entries do, as engines want it.
[[nodiscard]] inline content parse(std::span<const std::byte> bytes, std::string_view source) {
  detail::cursor in({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, source);
  content result;
  result.version = detail::read_version(in);
  const auto tensors = in.take<std::uint64_t>("number of tensors");
  const std::size_t keys = in.count(13, "number of keys");
  require<io_error>(keys <= max_keys, "{}: number of keys: {} are more than {}", source, keys, max_keys);
  require<io_error>(tensors <= in.left() / 32,
                    "{}: number of tensors: {} are more than the {} bytes that follow can hold", source, tensors,
                    in.left());
  require<io_error>(tensors <= max_tensors, "{}: number of tensors: {} are more than {}", source, tensors,
                    max_tensors);
  result.metadata = detail::read_metadata(in, keys);
  const std::size_t alignment = alignment_of(result.metadata, source);

  std::vector<std::uint64_t> offsets;
  std::unordered_set<std::string_view> names;  // of the result's memory
  result.tensors.reserve(static_cast<std::size_t>(tensors));
  offsets.reserve(static_cast<std::size_t>(tensors));
  for (std::size_t i = 0; i != tensors; ++i) {
    auto [info, offset] = detail::read_tensor_info(in, i);
    const std::string& name = result.tensors.emplace_back(tensor{std::move(info), {}}).name;
    require<io_error>(names.insert(name).second, "{}: tensor '{}': the name comes twice", source, name);
    offsets.push_back(offset);
  }

  const std::size_t begin_of_data = in.position() + detail::padding(in.position(), alignment);
  const auto data = bytes.subspan(std::min(bytes.size(), begin_of_data));
  std::size_t end = 0;
  for (std::size_t i = 0; i != tensors; ++i) {
    tensor& t = result.tensors[i];
    const std::size_t size = detail::bytes_of(t, source), begin = end + detail::padding(end, alignment);
    require<io_error>(offsets[i] == begin, "{}: tensor '{}': begins at byte {} of the data, but {} is wanted", source,
                      t.name, offsets[i], begin);
    require<io_error>(begin <= data.size() && size <= data.size() - begin,
                      "{}: tensor '{}': bytes [{}, {}) are not inside the {} bytes of data", source, t.name, begin,
                      begin + size, data.size());
    t.data = data.subspan(begin, size);
    end = begin + size;
  }
  const std::size_t rest = data.size() - end, last = detail::padding(end, alignment);
  require<io_error>(rest == 0 || rest == last,
                    "{}: the last tensor is followed by {} bytes, but {} or none are wanted", source, rest, last);
  result.padded_end = rest == last && bytes.size() >= begin_of_data;
  return result;
}

}  // namespace zoqat::io::gguf

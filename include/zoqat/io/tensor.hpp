// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/numeric.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

static_assert(std::endian::native == std::endian::little,
              "zoqat reads and writes tensors as they lie in memory: the file formats are little-endian, "
              "and so must the target be");

/// Element types of stored tensors: those of safetensors that fill whole bytes.
enum class dtype : std::uint8_t {
  boolean,
  u8,
  i8,
  f8_e4m3,
  f8_e5m2,
  u16,
  i16,
  f16,
  bf16,
  u32,
  i32,
  f32,
  u64,
  i64,
  f64,
};

struct dtype_info {
  dtype type;
  std::string_view name;  ///< as safetensors spells it
  std::size_t size;       ///< bytes of an element
};

/// In the order of the enumerators.
inline constexpr std::array<dtype_info, 15> dtypes{{
    {dtype::boolean, "BOOL", 1},
    {dtype::u8, "U8", 1},
    {dtype::i8, "I8", 1},
    {dtype::f8_e4m3, "F8_E4M3", 1},
    {dtype::f8_e5m2, "F8_E5M2", 1},
    {dtype::u16, "U16", 2},
    {dtype::i16, "I16", 2},
    {dtype::f16, "F16", 2},
    {dtype::bf16, "BF16", 2},
    {dtype::u32, "U32", 4},
    {dtype::i32, "I32", 4},
    {dtype::f32, "F32", 4},
    {dtype::u64, "U64", 8},
    {dtype::i64, "I64", 8},
    {dtype::f64, "F64", 8},
}};

[[nodiscard]] constexpr std::string_view dtype_name(dtype type) noexcept {
  return dtypes[static_cast<std::size_t>(type)].name;
}
/// Bytes of one element.
[[nodiscard]] constexpr std::size_t dtype_size(dtype type) noexcept {
  return dtypes[static_cast<std::size_t>(type)].size;
}
/// The type of that name, or nothing.
[[nodiscard]] constexpr std::optional<dtype> find_dtype(std::string_view name) noexcept {
  for (const dtype_info& info : dtypes)
    if (info.name == name) return info.type;
  return std::nullopt;
}

/// The stored type that a C++ type holds bit for bit.
template <class T>
struct dtype_of;
template <>
struct dtype_of<std::uint8_t> : std::integral_constant<dtype, dtype::u8> {};
template <>
struct dtype_of<std::int8_t> : std::integral_constant<dtype, dtype::i8> {};
template <>
struct dtype_of<std::uint16_t> : std::integral_constant<dtype, dtype::u16> {};
template <>
struct dtype_of<std::int16_t> : std::integral_constant<dtype, dtype::i16> {};
template <>
struct dtype_of<fp16> : std::integral_constant<dtype, dtype::f16> {};
template <>
struct dtype_of<bf16> : std::integral_constant<dtype, dtype::bf16> {};
template <>
struct dtype_of<std::uint32_t> : std::integral_constant<dtype, dtype::u32> {};
template <>
struct dtype_of<std::int32_t> : std::integral_constant<dtype, dtype::i32> {};
template <>
struct dtype_of<float> : std::integral_constant<dtype, dtype::f32> {};
template <>
struct dtype_of<std::uint64_t> : std::integral_constant<dtype, dtype::u64> {};
template <>
struct dtype_of<std::int64_t> : std::integral_constant<dtype, dtype::i64> {};
template <>
struct dtype_of<double> : std::integral_constant<dtype, dtype::f64> {};

/// A C++ type with a stored counterpart.
template <class T>
concept tensor_element = requires { dtype_of<T>::value; };

/// A named tensor whose bytes lie elsewhere, in a mapped file as a rule: row-major, and at any alignment.
struct tensor_view {
  std::string name;
  dtype type = dtype::f32;
  std::vector<std::size_t> shape;  ///< empty: one element
  std::span<const std::byte> data;
  std::string source;  ///< the file it comes from, for messages
};

/// Product of the extents; nothing when it does not fit.
[[nodiscard]] inline std::optional<std::size_t> checked_product(std::span<const std::size_t> extents) noexcept {
  std::size_t product = 1;
  for (const std::size_t extent : extents)
    if (__builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  return product;
}

/// Bytes of a tensor of that shape; nothing when their number does not fit.
[[nodiscard]] inline std::optional<std::size_t> checked_bytes(std::span<const std::size_t> shape,
                                                              dtype type) noexcept {
  const auto count = checked_product(shape);
  std::size_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, dtype_size(type), &bytes)) return std::nullopt;
  return bytes;
}

/// Elements of `tensor`. Throws io_error unless shape, type and the number of bytes agree.
[[nodiscard]] inline std::size_t element_count(const tensor_view& tensor) {
  const auto bytes = checked_bytes(tensor.shape, tensor.type);
  require<io_error>(bytes == tensor.data.size(), "{}: tensor '{}': {} bytes do not make {} elements of shape [{}]",
                    tensor.source, tensor.name, tensor.data.size(), dtype_name(tensor.type),
                    fmt::join(tensor.shape, ", "));
  return *bytes / dtype_size(tensor.type);
}

namespace detail {

inline void require_room(const tensor_view& tensor, std::size_t room) {
  const std::size_t count = element_count(tensor);
  require<io_error>(count == room, "{}: tensor '{}': holds {} elements, but {} are wanted", tensor.source,
                    tensor.name, count, room);
}

// Stored elements need not be aligned, hence the copy of each one.
template <class Stored>
void widen(std::span<const std::byte> data, std::span<float> out) noexcept {
  for (std::size_t i = 0; i != out.size(); ++i) {
    Stored element;
    std::memcpy(&element, data.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = static_cast<float>(element);
  }
}

}  // namespace detail

/// Copies the elements of `tensor` bit for bit. Throws io_error, with the file and the tensor, when it holds
/// another type than T or another number of elements than `out`.
template <tensor_element T>
void copy_to(const tensor_view& tensor, std::span<T> out) {
  require<io_error>(tensor.type == dtype_of<T>::value, "{}: tensor '{}': holds {}, but {} is wanted", tensor.source,
                    tensor.name, dtype_name(tensor.type), dtype_name(dtype_of<T>::value));
  detail::require_room(tensor, out.size());
  if (!out.empty()) std::memcpy(out.data(), tensor.data.data(), tensor.data.size());
}

/// Throws io_error, with the file, the tensor and the place, for a value that is infinite or no number. `values` are
/// elements of `tensor` from `first` on.
inline void require_finite(const tensor_view& tensor, std::span<const float> values, std::size_t first = 0) {
  const auto is_finite = [](float value) { return std::abs(value) <= std::numeric_limits<float>::max(); };
  bool all = true;
  for (const float value : values) all &= is_finite(value);  // without a branch: as fast as memory
  if (all) return;
  const auto found = std::ranges::find_if_not(values, is_finite);
  fail<io_error>("{}: tensor '{}': element {} of shape [{}] is {}, but a finite number is wanted", tensor.source,
                 tensor.name, first + static_cast<std::size_t>(found - values.begin()), fmt::join(tensor.shape, ", "),
                 *found);
}

/// Elements [first, first + n) of a tensor, as a tensor of one dimension.
[[nodiscard]] inline tensor_view subtensor(const tensor_view& tensor, std::size_t first, std::size_t n) {
  const std::size_t size = dtype_size(tensor.type);
  return {tensor.name, tensor.type, {n}, tensor.data.subspan(first * size, n * size), tensor.source};
}

/// Converts an F32, F16 or BF16 tensor to float, exactly. Throws io_error, with the file and the tensor, on
/// another type or another number of elements than `out` has.
inline void copy_to_f32(const tensor_view& tensor, std::span<float> out) {
  if (tensor.type == dtype::f32) return copy_to<float>(tensor, out);
  require<io_error>(tensor.type == dtype::f16 || tensor.type == dtype::bf16,
                    "{}: tensor '{}': holds {}, but F32, F16 or BF16 is wanted", tensor.source, tensor.name,
                    dtype_name(tensor.type));
  detail::require_room(tensor, out.size());
  if (tensor.type == dtype::f16) return detail::widen<fp16>(tensor.data, out);
  detail::widen<bf16>(tensor.data, out);
}

}  // namespace zoqat::io

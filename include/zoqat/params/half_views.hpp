// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/numeric.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI {

/// A type of 16 bits that an engine keeps fp16 in: plain bits, or a number such as _Float16, __fp16, std::float16_t
/// or a class of its own.
template <class T>
concept holds_fp16 = sizeof(T) == sizeof(fp16) && std::is_trivially_copyable_v<T> &&
                     (std::same_as<T, std::uint16_t> || std::same_as<T, fp16> ||
                      (!std::integral<T> && std::convertible_to<T, float> &&
                       (std::numeric_limits<T>::digits == 0 || std::numeric_limits<T>::digits == 11)));

/// An engine's buffer of fp16 (IEEE binary16) as this library names it: where it lies, without a copy.
template <holds_fp16 T>
[[nodiscard]] std::span<fp16> fp16_view(T* data, std::size_t n) noexcept {
  static_assert(alignof(T) >= alignof(fp16));
  return {reinterpret_cast<fp16*>(data), n};
}

/// An engine's buffer of bf16 (the upper halves of floats) as this library names it: where it lies, without a copy.
[[nodiscard]] inline std::span<bf16> bf16_view(std::uint16_t* data, std::size_t n) noexcept {
  return {reinterpret_cast<bf16*>(data), n};
}

}  // namespace zoqat

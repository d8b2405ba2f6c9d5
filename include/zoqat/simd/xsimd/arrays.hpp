// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <xsimd/xsimd.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Access to the next batch of an array. Bytes are loaded as integers, and integers stored modulo 256 in bytes.
template <class Arch>
struct whole {
  static xsimd::batch<float, Arch> load(const float* from, float = 0) noexcept {
    return xsimd::batch<float, Arch>::load_unaligned(from);
  }
  static xsimd::batch<std::int32_t, Arch> load(const std::uint8_t* from) noexcept {
    return xsimd::batch<std::int32_t, Arch>::load_unaligned(from);
  }
  static xsimd::batch<std::int32_t, Arch> load(const std::int8_t* from) noexcept {
    return xsimd::batch<std::int32_t, Arch>::load_unaligned(from);
  }
  static xsimd::batch<std::uint32_t, Arch> load(const std::uint16_t* from) noexcept {
    return xsimd::batch<std::uint32_t, Arch>::load_unaligned(from);
  }
  template <class Batch, class T>
  static void store(const Batch& v, T* to) noexcept {
    v.store_unaligned(to);
  }
  /// v, zero in the lanes that are no elements.
  template <class Batch>
  static Batch keep(const Batch& v) noexcept {
    return v;
  }
};

/// Access to the last `count` elements of an array, less than a batch, and nothing beyond. The other lanes are loaded
/// as `fill`.
template <class Arch>
struct part {
  std::size_t count;

  template <class T>
  auto load(const T* from, T fill = {}) const noexcept {
    std::array<T, xsimd::batch<float, Arch>::size> copy;
    std::fill(std::copy_n(from, count, copy.begin()), copy.end(), fill);
    return whole<Arch>::load(copy.data());
  }
  template <class Batch, class T>
  void store(const Batch& v, T* to) const noexcept {
    std::array<T, Batch::size> copy;
    v.store_unaligned(copy.data());
    std::copy_n(copy.begin(), count, to);
  }
  template <class Batch>
  Batch keep(const Batch& v) const noexcept {
    std::array<typename Batch::value_type, Batch::size> copy;
    v.store_unaligned(copy.data());
    std::fill(copy.begin() + static_cast<std::ptrdiff_t>(count), copy.end(), typename Batch::value_type{});
    return Batch::load_unaligned(copy.data());
  }
};

/// Calls body(at, i) for the batches that cover n elements; `at` is `whole` or the last `part`.
template <class Arch, class Body>
void for_each_batch(std::size_t n, Body body) noexcept {
  constexpr std::size_t lanes = xsimd::batch<float, Arch>::size;
  std::size_t i = 0;
  for (; n - i >= lanes; i += lanes) body(whole<Arch>{}, i);
  if (i != n) body(part<Arch>{n - i}, i);
}

/// The bits of v as a batch of another type. xsimd took the batch to make, and now takes the type of its elements.
template <class To, class T, class Arch>
[[gnu::always_inline]] inline To bits_as(const xsimd::batch<T, Arch>& v) noexcept {
  if constexpr (requires {
                  { xsimd::bitwise_cast<typename To::value_type>(v) } -> std::same_as<To>;
                })
    return xsimd::bitwise_cast<typename To::value_type>(v);
  else
    return xsimd::bitwise_cast<To>(v);
}

/// The sum of the lanes, under the name that this version of xsimd has for it (found through the type of v).
template <class T, class Arch>
T sum_of_lanes(const xsimd::batch<T, Arch>& v) noexcept {
  if constexpr (requires { reduce_add(v); })
    return reduce_add(v);
  else
    return hadd(v);
}

}  // namespace zoqat::simd::xsimd_detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <zoqat/core/matrix.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/simd/highway.hpp>
#include <zoqat/simd/packing.hpp>
#include <zoqat/simd/reference.hpp>
#include <zoqat/simd/xsimd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

// What the tests of the kernels share: the backends under test, inputs, and comparisons.

#define ZOQAT_BACKENDS zoqat::simd::highway_kernels, zoqat::simd::xsimd_kernels

TYPE_TO_STRING(zoqat::simd::highway_kernels);
TYPE_TO_STRING(zoqat::simd::xsimd_kernels);

namespace zoqat::simd::testing {

/// Sizes around the vectors, blocks and unrolled loops of every backend.
inline constexpr std::size_t sizes[] = {0,  1,  2,  3,  4,  5,  7,  8,   9,   15,  16,  17,
                                        31, 32, 33, 47, 63, 64, 65, 127, 128, 130, 257, 1000};

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// A generator whose numbers depend on nothing but `name`.
inline rng::engine generator(std::uint32_t name) {
  return rng::engine({.seed = 20, .tensor = name, .use = rng::purpose::data});
}

/// Uniform in [-scale, scale).
inline std::vector<float> floats(std::size_t n, std::uint32_t name, float scale = 1) {
  std::vector<float> v(n);
  auto draw = generator(name);
  for (float& x : v) x = (2 * draw.uniform() - 1) * scale;
  return v;
}
/// Integers in [-limit, limit]: their sums and products are exact, so that any wrong or missing term shows.
inline std::vector<float> integers(std::size_t n, std::uint32_t name, int limit = 8) {
  std::vector<float> v(n);
  auto draw = generator(name);
  for (float& x : v)
    x = static_cast<float>(static_cast<int>(draw.below(static_cast<std::uint32_t>(2 * limit + 1))) - limit);
  return v;
}
inline std::vector<std::uint8_t> codes(std::size_t n, int bits, std::uint32_t name) {
  std::vector<std::uint8_t> v(n);
  auto draw = generator(name);
  for (auto& c : v) c = static_cast<std::uint8_t>(draw.below(1u << bits));
  return v;
}

/// Calls f with std::integral_constant First … Last.
template <int First, int Last, class F>
void for_each_width(F f) {
  [&]<int... Bits>(std::integer_sequence<int, Bits...>) {
    (f(std::integral_constant<int, First + Bits>{}), ...);
  }(std::make_integer_sequence<int, Last - First + 1>{});
}

/// Where a code panel has weight (j, k): the definition of its layout.
inline std::size_t code_at(std::size_t j, std::size_t k) { return k / 4 * panel_row + j * 4 + k % 4; }

/// A code panel of all 16 rows, depth k: codes of `bits` bits, and zeros up to a multiple of 4.
inline std::vector<std::uint8_t> code_panel(std::size_t k, int bits, std::uint32_t name) {
  const auto plain = codes(panel_width * k, bits, name);
  std::vector<std::uint8_t> panel(code_panel_size(k));
  for (std::size_t j = 0; j != panel_width; ++j)
    for (std::size_t i = 0; i != k; ++i) panel[code_at(j, i)] = plain[j * k + i];
  return panel;
}

/// Units in the last place of t, at least those of the smallest normal number.
inline double ulp(double t) {
  const auto magnitude = std::max(static_cast<float>(std::abs(t)), std::numeric_limits<float>::min());
  return static_cast<double>(std::nextafter(magnitude, infinity)) - static_cast<double>(magnitude);
}
/// Whether `value` is within `bound` ulp of `term` of `expected` (or below 2^-120 like it), or the same infinity or
/// NaN.
inline bool close(float value, float expected, double bound, double term) {
  if (!std::isfinite(expected)) return value == expected || (std::isnan(value) && std::isnan(expected));
  return std::abs(double{value} - double{expected}) <= std::max(bound * ulp(term), 0x1p-120);
}

/// An output of n elements between guards that must stay as they are. (Inputs are plain vectors, so that a sanitizer
/// sees reads beyond them.)
template <class T>
class guarded {
 public:
  explicit guarded(std::size_t n) : data_(n + 2 * guard, mark) {}
  explicit guarded(const std::vector<T>& content) : guarded(content.size()) {
    std::copy(content.begin(), content.end(), data());
  }
  T* data() { return data_.data() + guard; }
  bool intact() const {
    bool all = true;
    for (std::size_t i = 0; i != guard; ++i) all = all && data_[i] == mark && data_[data_.size() - 1 - i] == mark;
    return all;
  }
  std::vector<T> content() const { return {data_.begin() + guard, data_.end() - guard}; }

 private:
  static constexpr std::size_t guard = 64;
  static constexpr T mark = T(77);
  std::vector<T> data_;
};

}  // namespace zoqat::simd::testing

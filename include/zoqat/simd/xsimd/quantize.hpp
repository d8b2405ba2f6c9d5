// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>

namespace zoqat::simd::xsimd_detail {

/// Quantization of rows.
template <class Arch>
struct quantize_kernels {
  static range min_max(const float* x, std::size_t n) noexcept {
    floats min(0.0f), max(0.0f);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) {
      const floats v = at.load(x + i);
      min = xsimd::select(v < min, v, min);  // unlike min(), ignores NaN on every architecture
      max = xsimd::select(v > max, v, max);
    });
    std::array<float, 2 * floats::size> all;
    min.store_unaligned(all.data());
    max.store_unaligned(all.data() + floats::size);
    const auto [low, high] = std::minmax_element(all.begin(), all.end());
    return {*low, *high};
  }

  static void quantize(const float* x, std::size_t n, grid g, int bits, std::uint8_t* codes) noexcept {
    const floats inverse(1.0f / g.scale);
    const floats low(static_cast<float>(-g.zero_point)), high(static_cast<float>((1 << bits) - 1 - g.zero_point));
    const integers zero_point(g.zero_point);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) {
      const floats scaled = at.load(x + i) * inverse;
      const floats above = xsimd::select(scaled > low, scaled, low);
      at.store(xsimd::nearbyint_as_int(xsimd::select(above < high, above, high)) + zero_point, codes + i);
    });
  }

  static void dequantize(const std::uint8_t* codes, std::size_t n, grid g, float* out) noexcept {
    const floats scale(g.scale);
    const integers zero_point(g.zero_point);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) {
      at.store(scale * xsimd::to_float(at.load(codes + i) - zero_point), out + i);
    });
  }

  static std::int32_t sum(const std::uint8_t* codes, std::size_t n) noexcept {
    integers total(0);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) { total += at.load(codes + i); });
    return xsimd::hadd(total);
  }

  static quantized_row quantize_row(const float* x, std::size_t n, int bits, bool symmetric,
                                    std::uint8_t* codes) noexcept {
    const grid g = grid_of(min_max(x, n), bits, symmetric);
    quantize(x, n, g, bits, codes);
    return {g, sum(codes, n)};
  }

 private:
  using floats = xsimd::batch<float, Arch>;
  using integers = xsimd::batch<std::int32_t, Arch>;
};

}  // namespace zoqat::simd::xsimd_detail

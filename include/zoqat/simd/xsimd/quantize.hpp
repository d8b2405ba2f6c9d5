// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/xsimd/arrays.hpp>
#include <zoqat/simd/xsimd/rounded.hpp>
#include <zoqat/simd/xsimd/signs.hpp>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Quantization of rows.
template <class Arch>
struct quantize_kernels {
  static range min_max(const float* x, std::size_t n) noexcept {
    return range_of(n, [=](auto at, std::size_t i) { return at.load(x + i); });
  }
  static void quantize(const float* x, std::size_t n, grid g, int bits, std::uint8_t* codes) noexcept {
    store_codes(n, {g, 0, (1 << bits) - 1, 0}, codes, [=](auto at, std::size_t i) { return at.load(x + i); });
  }
  static void dequantize(const std::uint8_t* codes, std::size_t n, grid g, float* out) noexcept {
    const floats scale(g.scale);
    const integers zero_point(g.zero_point);
    const floats minimum(g.minimum);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) {
      at.store(scale * xsimd::to_float(at.load(codes + i) - zero_point) - minimum, out + i);
    });
  }
  static std::int32_t sum(const std::uint8_t* codes, std::size_t n) noexcept { return sum_of(codes, n); }
  static quantized_row quantize_row(const float* x, std::size_t n, int bits, bool symmetric,
                                    std::uint8_t* codes) noexcept {
    const grid g = grid_of(min_max(x, n), bits, symmetric);
    quantize(x, n, g, bits, codes);
    return {g, sum(codes, n)};
  }

  static range min_max(const weight_row& w, std::size_t n) noexcept { return range_of(n, values_of(w)); }
  static void materialize(const weight_row& w, std::size_t n, float* out) noexcept {
    for_each_batch<Arch>(n, [=, value = values_of(w)](auto at, std::size_t i) { at.store(value(at, i), out + i); });
  }
  static std::int32_t quantize(const weight_row& w, std::size_t n, const code_range& r,
                               std::uint8_t* bytes) noexcept {
    store_codes(n, r, bytes, values_of(w));
    return sum_of(reinterpret_cast<const std::int8_t*>(bytes), n);
  }
  static std::array<std::int32_t, 2> quantize(const weight_pair& w, std::size_t n, const code_range* ranges,
                                              std::uint8_t* forward, std::uint8_t* back) noexcept {
    return {quantize(w.row(0), n, ranges[0], forward), quantize(w.row(1), n, ranges[1], back)};
  }

 private:
  using floats = xsimd::batch<float, Arch>;
  using integers = xsimd::batch<std::int32_t, Arch>;

  // (at, i) -> the values of a row of weights.
  static auto values_of(const weight_row& w) noexcept {
    return [w](auto at, std::size_t i) {
      floats v = at.load(w.values + i);
      if (w.direction)
        v += rounded<Arch>(floats(w.scale) * at.load(w.direction + i));
      else if (w.signs)
        v += at.keep(signed_scale<Arch>(w.signs, w.scale, i));
      return w.smoothing ? v * at.load(w.smoothing + i) : v;
    };
  }
  template <class Value>
  static range range_of(std::size_t n, Value value) noexcept {
    floats min(0.0f), max(0.0f);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) {
      const floats v = value(at, i);
      min = xsimd::select(v < min, v, min);  // unlike min(), ignores NaN on every architecture
      max = xsimd::select(v > max, v, max);
    });
    std::array<float, 2 * floats::size> all;
    min.store_unaligned(all.data());
    max.store_unaligned(all.data() + floats::size);
    const auto [low, high] = std::minmax_element(all.begin(), all.end());
    return {*low, *high};
  }
  template <class Value>
  static void store_codes(std::size_t n, const code_range& r, std::uint8_t* bytes, Value value) noexcept {
    const floats inverse(r.factor());
    const floats low(static_cast<float>(r.least - r.grid.zero_point));
    const floats high(static_cast<float>(r.greatest - r.grid.zero_point));
    const integers shift(r.grid.zero_point - r.offset);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) {
      const floats scaled = value(at, i) * inverse;
      const floats above = xsimd::select(scaled > low, scaled, low);  // NaN takes the least code
      at.store(xsimd::nearbyint_as_int(xsimd::select(above < high, above, high)) + shift, bytes + i);
    });
  }
  template <class Byte>
  static std::int32_t sum_of(const Byte* bytes, std::size_t n) noexcept {
    integers total(0);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) { total += at.load(bytes + i); });
    return sum_of_lanes(total);
  }
};

}  // namespace zoqat::simd::xsimd_detail

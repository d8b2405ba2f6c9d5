// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/xsimd/arrays.hpp>

#include <cmath>
#include <limits>
#include <numbers>

namespace zoqat::inline ZOQAT_ABI::simd::xsimd_detail {

/// Rows of floats: sums, norms, softmax, rotary embeddings and activation functions.
template <class Arch>
struct row_kernels {
  static float dot(const float* a, const float* b, std::size_t n) noexcept {
    return sum_of(n, [=](auto at, std::size_t i) { return at.load(a + i) * at.load(b + i); });
  }
  static void add(const float* x, float* y, std::size_t n) noexcept {
    map(n, y, [=](auto at, std::size_t i) { return at.load(y + i) + at.load(x + i); });
  }
  static void multiply(const float* x, float* y, std::size_t n) noexcept {
    map(n, y, [=](auto at, std::size_t i) { return at.load(y + i) * at.load(x + i); });
  }

  static void rms_norm(const float* x, const float* gain, float epsilon, float* out, std::size_t n) noexcept {
    const floats factor(inverse_root(dot(x, x, n), n, epsilon));
    map(n, out, [=](auto at, std::size_t i) { return at.load(x + i) * factor * at.load(gain + i); });
  }
  static void layer_norm(const float* x, const float* gain, const float* bias, float epsilon, float* out,
                         std::size_t n) noexcept {
    const float mean = sum_of(n, [=](auto at, std::size_t i) { return at.load(x + i); }) / static_cast<float>(n);
    const float squares = sum_of(n, [=](auto at, std::size_t i) {
      const floats centered = at.load(x + i, mean) - floats(mean);
      return centered * centered;
    });
    const floats factor(inverse_root(squares, n, epsilon));
    map(n, out, [=](auto at, std::size_t i) {
      return xsimd::fma((at.load(x + i) - floats(mean)) * factor, at.load(gain + i), at.load(bias + i));
    });
  }

  static void softmax(float* x, std::size_t n) noexcept {
    const floats top(maximum(x, n));
    map(n, x, [=](auto at, std::size_t i) { return xsimd::exp(at.load(x + i) - top); });
    const floats inverse(1 / sum_of(n, [=](auto at, std::size_t i) { return at.load(x + i); }));
    map(n, x, [=](auto at, std::size_t i) { return at.load(x + i) * inverse; });
  }
  static float log_sum_exp(const float* x, std::size_t n) noexcept {
    if (n == 0) return lowest;
    const float top = maximum(x, n);
    return top + std::log(sum_of(
                     n, [=](auto at, std::size_t i) { return xsimd::exp(at.load(x + i, lowest) - floats(top)); }));
  }

  static void rope_half_split(float* head, const float* cos, const float* sin, std::size_t n) noexcept {
    float* const upper = head + n / 2;
    for_each_batch<Arch>(n / 2, [=](auto at, std::size_t i) {
      const floats x = at.load(head + i), y = at.load(upper + i), c = at.load(cos + i), s = at.load(sin + i);
      at.store(x * c - y * s, head + i);
      at.store(x * s + y * c, upper + i);
    });
  }
  static void rope_interleaved(float* head, const float* cos, const float* sin, std::size_t n) noexcept {
    // xsimd 8.1 cannot take pairs apart: a batch of them goes through the other layout.
    for_each_batch<Arch>(n / 2, [=](auto at, std::size_t i) {
      constexpr std::size_t lanes = floats::size;
      std::array<float, 2 * lanes> split{};
      const std::size_t count = std::min(lanes, n / 2 - i);
      for (std::size_t j = 0; j != count; ++j) split[j] = head[2 * (i + j)], split[lanes + j] = head[2 * (i + j) + 1];
      std::array<float, lanes> c, s;
      at.load(cos + i).store_unaligned(c.data());
      at.load(sin + i).store_unaligned(s.data());
      rope_half_split(split.data(), c.data(), s.data(), 2 * lanes);
      for (std::size_t j = 0; j != count; ++j) head[2 * (i + j)] = split[j], head[2 * (i + j) + 1] = split[lanes + j];
    });
  }

  static void silu(float* x, std::size_t n) noexcept {
    map(n, x, [=](auto at, std::size_t i) {
      const floats v = at.load(x + i);
      return v / (floats(1.0f) + xsimd::exp(-v));
    });
  }
  static void gelu_tanh(float* x, std::size_t n) noexcept {
    constexpr float factor = std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;  // √(2/π)
    map(n, x, [=](auto at, std::size_t i) {
      const floats v = at.load(x + i), u = v * xsimd::fma(v * v, floats(factor * 0.044715f), floats(factor));
      return floats(0.5f) * v * (floats(1.0f) + xsimd::tanh(u));
    });
  }
  static void gelu_erf(float* x, std::size_t n) noexcept {
    map(n, x, [=](auto at, std::size_t i) {
      const floats v = at.load(x + i);
      return floats(0.5f) * v * (floats(1.0f) + xsimd::erf(v * floats(1 / std::numbers::sqrt2_v<float>)));
    });
  }
  static void relu(float* x, std::size_t n) noexcept {
    map(n, x, [=](auto at, std::size_t i) {
      const floats v = at.load(x + i);
      return xsimd::select(v < floats(0.0f), floats(0.0f), v);
    });
  }

 private:
  using floats = xsimd::batch<float, Arch>;
  static constexpr float lowest = -std::numeric_limits<float>::infinity();

  // out = f(at, i), batch by batch.
  template <class F>
  static void map(std::size_t n, float* out, F f) noexcept {
    for_each_batch<Arch>(n, [=](auto at, std::size_t i) { at.store(f(at, i), out + i); });
  }
  // The sum of f(at, i); missing lanes of a load must lead to zero.
  template <class F>
  static float sum_of(std::size_t n, F f) noexcept {
    floats total(0.0f);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) { total += f(at, i); });
    return sum_of_lanes(total);
  }
  static float inverse_root(float squares, std::size_t n, float epsilon) noexcept {
    return 1 / std::sqrt(squares / static_cast<float>(n) + epsilon);
  }
  static float maximum(const float* x, std::size_t n) noexcept {
    floats top(lowest);
    for_each_batch<Arch>(n, [&](auto at, std::size_t i) { top = xsimd::max(top, at.load(x + i, lowest)); });
    std::array<float, floats::size> all;
    top.store_unaligned(all.data());
    return *std::max_element(all.begin(), all.end());
  }
};

}  // namespace zoqat::simd::xsimd_detail

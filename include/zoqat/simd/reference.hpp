// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/gaussian.hpp>
#include <zoqat/random/rademacher.hpp>
#include <zoqat/simd/kernels.hpp>
#include <zoqat/simd/packing.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

namespace zoqat::inline ZOQAT_ABI::simd {

/// The kernels in plain scalar C++: the executable specification, and the oracle of every test. Long sums are
/// in double, so that its float results are the correctly rounded ones to well within the stated bounds.
struct reference {
  static const char* name() noexcept { return "reference"; }
  static const char* target() noexcept { return "scalar"; }

  static void gaussian(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    rng::gaussian(s, first, {out, n});
  }
  static void gaussian_ars(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    rng::gaussian_ars(s, first, {out, n});
  }
  static void rademacher(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    rng::rademacher(s, first, {out, n});
  }
  static void add_scaled(const float* x, const float* u, float s, float* out, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n; ++i) out[i] = add_product(x[i], s, u[i]);
  }

  static void rademacher_words(rng::stream s, std::uint64_t superblock, std::size_t count,
                               std::uint32_t* words) noexcept {
    copy_words(s.run(), superblock, count, words);
  }
  static void ars_words(rng::stream s, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
    copy_words(s.ars_run(), superblock, count, words);
  }
  static void add_signs(const float* x, packed_signs u, float s, float* out, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n; ++i) out[i] = add_product(x[i], s, u[i]);
  }

  static range min_max(const float* x, std::size_t n) noexcept {
    range r;
    for (std::size_t i = 0; i != n; ++i) r = {std::min(r.min, x[i]), std::max(r.max, x[i])};
    return r;
  }
  static void quantize(const float* x, std::size_t n, grid g, int bits, std::uint8_t* codes) noexcept {
    const float inverse = 1.0f / g.scale, top = static_cast<float>((1 << bits) - 1);
    const auto zero = static_cast<float>(g.zero_point);
    for (std::size_t i = 0; i != n; ++i) {
      const float code = round_half_even(x[i] * inverse) + zero;  // nothing compares to NaN: its code is 0
      codes[i] = static_cast<std::uint8_t>(code > 0 ? std::min(code, top) : 0.0f);
    }
  }
  static void dequantize(const std::uint8_t* codes, std::size_t n, grid g, float* out) noexcept {
    for (std::size_t i = 0; i != n; ++i) out[i] = g.scale * static_cast<float>(codes[i] - g.zero_point) - g.minimum;
  }
  static std::int32_t sum(const std::uint8_t* codes, std::size_t n) noexcept {
    std::int32_t total = 0;
    for (std::size_t i = 0; i != n; ++i) total += codes[i];
    return total;
  }
  static quantized_row quantize_row(const float* x, std::size_t n, int bits, bool symmetric,
                                    std::uint8_t* codes) noexcept {
    const grid g = grid_of(min_max(x, n), bits, symmetric);
    quantize(x, n, g, bits, codes);
    return {g, sum(codes, n)};
  }

  static void widen(const bf16* x, std::size_t n, float* out) noexcept {
    for (std::size_t i = 0; i != n; ++i) out[i] = static_cast<float>(x[i]);
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, bf16* out) noexcept {
    for (std::size_t i = 0; i != n; ++i) {
      if (std::isfinite(x[i]))
        out[i].bits = static_cast<std::uint16_t>((std::bit_cast<std::uint32_t>(x[i]) + noise[i]) >> 16);
      else
        out[i] = bf16(x[i]);
    }
  }
  static void widen(const fp16* x, std::size_t n, float* out) noexcept {
    for (std::size_t i = 0; i != n; ++i) out[i] = static_cast<float>(x[i]);
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, fp16* out) noexcept {
    for (std::size_t i = 0; i != n; ++i) {
      out[i] = fp16(x[i]);
      if (!std::isfinite(x[i])) continue;
      const auto bits = std::bit_cast<std::uint32_t>(std::abs(x[i]));
      const std::uint32_t half = bits < smallest_normal_half
                                     ? (static_cast<std::uint32_t>(std::abs(x[i]) * 0x1p40f) + noise[i]) >> 16
                                     : (bits - rebased_half + (noise[i] >> 3)) >> 13;
      out[i].bits = static_cast<std::uint16_t>((out[i].bits & 0x8000u) | std::min(half, greatest_half));
    }
  }
  static void narrow(const float* x, std::size_t n, fp16* out) noexcept {
    for (std::size_t i = 0; i != n; ++i)
      out[i] = fp16(std::isfinite(x[i]) ? std::clamp(x[i], -65504.0f, 65504.0f) : x[i]);
  }
  static void narrow(const float* x, const std::uint16_t* noise, std::size_t n, grid g,
                     std::uint8_t* codes) noexcept {
    const float inverse = 1.0f / g.scale;
    const auto zero = static_cast<float>(g.zero_point);
    for (std::size_t i = 0; i != n; ++i) {
      const float code = rounded(x[i] * inverse) + (static_cast<float>(noise[i]) * 0x1p-16f + zero);
      codes[i] = static_cast<std::uint8_t>(code > 0 ? std::min(code, 255.0f) : 0.0f);
    }
  }

  static range min_max(const weight_row& w, std::size_t n) noexcept {
    range r;
    for (std::size_t i = 0; i != n; ++i) r = {std::min(r.min, at(w, i)), std::max(r.max, at(w, i))};
    return r;
  }
  static void materialize(const weight_row& w, std::size_t n, float* out) noexcept {
    for (std::size_t i = 0; i != n; ++i) out[i] = at(w, i);
  }
  static std::int32_t quantize(const weight_row& w, std::size_t n, const code_range& r,
                               std::uint8_t* codes) noexcept {
    const float inverse = r.factor();
    const auto zero = static_cast<float>(r.grid.zero_point), least = static_cast<float>(r.least),
               greatest = static_cast<float>(r.greatest);
    std::int32_t total = 0;
    for (std::size_t i = 0; i != n; ++i) {
      const float code = round_half_even(at(w, i) * inverse) + zero;
      const float clamped = code > least ? std::min(code, greatest) : least;  // nothing compares to NaN: the least
      codes[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(clamped) - r.offset);
      total += static_cast<std::int8_t>(codes[i]);
    }
    return total;
  }

  static std::array<std::int32_t, 2> quantize(const weight_pair& w, std::size_t n, const code_range* ranges,
                                              std::uint8_t* forward, std::uint8_t* back) noexcept {
    return {quantize(w.row(0), n, ranges[0], forward), quantize(w.row(1), n, ranges[1], back)};
  }

  template <int Bits>
  static void pack(const std::uint8_t* panel, std::size_t k, std::uint8_t* bytes) noexcept {
    for_each_block(k, [=](std::size_t block, std::size_t rows) {
      std::uint8_t whole[block_rows * panel_row] = {};
      std::copy_n(panel + block * block_rows * panel_row, rows * panel_row, whole);
      pack_block<Bits>(whole, bytes + block * sizeof(packed_block<Bits>));
    });
  }
  template <int Bits>
  static void unpack(const std::uint8_t* bytes, std::size_t k, const std::uint8_t* offsets,
                     std::uint8_t* panel) noexcept {
    for_each_block(k, [=](std::size_t block, std::size_t rows) {
      std::uint8_t whole[block_rows * panel_row];
      unpack_block<Bits>(bytes + block * sizeof(packed_block<Bits>), whole);
      for (std::size_t i = 0; i != rows * panel_row; ++i)
        panel[block * block_rows * panel_row + i] =
            static_cast<std::uint8_t>(whole[i] - (offsets ? offsets[i % panel_row / 4] : 0));
    });
  }

  static void pack_panel(matrix_view<const float> rows, float* panel) noexcept {
    for (std::size_t k = 0; k != rows.cols(); ++k)
      for (std::size_t j = 0; j != panel_width; ++j) *panel++ = j < rows.rows() ? rows(j, k) : 0.0f;
  }
  static void pack_panel(matrix_view<const std::uint8_t> rows, std::uint8_t* panel) noexcept {
    std::fill_n(panel, code_panel_size(rows.cols()), std::uint8_t{0});
    for (std::size_t j = 0; j != rows.rows(); ++j)
      for (std::size_t k = 0; k != rows.cols(); ++k) panel[code_at(j, k)] = rows(j, k);
  }
  static void dequantize_panel(const std::uint8_t* codes, std::size_t first, std::size_t k, const grid* grids,
                               float* panel) noexcept {
    for (std::size_t i = first; i != first + k; ++i)
      for (std::size_t j = 0; j != panel_width; ++j)
        *panel++ = grids[j].scale * static_cast<float>(codes[code_at(j, i)] - grids[j].zero_point) - grids[j].minimum;
  }
  static void gemm(matrix_view<const float> a, const float* panels, const float* bias, bool accumulate,
                   matrix_view<float> c, std::size_t panel_depth) noexcept {
    for (std::size_t m = 0; m != c.rows(); ++m)
      for (std::size_t j = 0; j != c.cols(); ++j) {
        const float* const panel = panels + j / panel_width * float_panel_size(panel_depth);
        double total = start_of(c, m, j, bias, accumulate);
        for (std::size_t k = 0; k != a.cols(); ++k)
          total += double{a(m, k)} * panel[k * panel_width + j % panel_width];
        c(m, j) = static_cast<float>(total);
      }
  }
  static void gemm(matrix_view<const float> a, const float* panels, const float* bias, bool accumulate,
                   matrix_view<float> c) noexcept {
    gemm(a, panels, bias, accumulate, c, a.cols());
  }
  template <int ActivationBits, int WeightBits>
  static void gemm(matrix_view<const std::uint8_t> a, const grid* grids, const std::int32_t* row_sums,
                   const std::uint8_t* panels, const column_dequantization& columns, const float* bias,
                   bool accumulate, matrix_view<float> c, prefetch_hint = {}) noexcept {
    const auto k = static_cast<std::int64_t>(a.cols());
    for (std::size_t m = 0; m != c.rows(); ++m)
      for (std::size_t j = 0; j != c.cols(); ++j) {
        const std::uint8_t* const panel = panels + j / panel_width * code_panel_size(a.cols());
        std::int64_t exact = -std::int64_t{grids[m].zero_point} * columns.sum[j];
        for (std::size_t i = 0; i != a.cols(); ++i)
          exact += a(m, i) * static_cast<std::int8_t>(panel[code_at(j % panel_width, i)]);
        if (columns.zero_point)
          exact -= std::int64_t{columns.zero_point[j]} * (row_sums[m] - k * grids[m].zero_point);
        const float value = static_cast<float>(exact) * (grids[m].scale * columns.scale[j]);
        c(m, j) = start_of(c, m, j, bias, accumulate) + rounded(value);
      }
  }
  template <int ActivationBits, int WeightBits>
  static void add_parts(const code_parts& parts, matrix_view<float> c) noexcept {
    detail::add_parts_one_by_one<reference, ActivationBits, WeightBits>(parts, c);
  }
  template <int ActivationBits, int WeightBits>
  static void add_packed_parts(const packed_parts& p, matrix_view<float> c) noexcept {
    for (std::size_t m = 0; m != c.rows(); ++m)
      for (std::size_t first = 0; first < p.a.cols(); first += p.depth) {
        const grid& of_row = p.grids(first / p.group, m);
        std::int64_t exact[panel_width] = {};
        for (std::size_t k = first; k != std::min(p.a.cols(), first + p.depth); ++k) {
          std::uint8_t rows[block_rows * panel_row];
          unpack_block<WeightBits>(p.panel + k / block_depth * sizeof(packed_block<WeightBits>), rows);
          for (std::size_t j = 0; j != panel_width; ++j) {
            const std::size_t at = first / p.weight_group * panel_width + j;
            const std::int32_t zero_point = p.zero_points ? p.zero_points[at] : p.zero_point;
            exact[j] += (p.a(m, k) - of_row.zero_point) * (rows[code_at(j, k % block_depth)] - zero_point);
          }
        }
        for (std::size_t j = 0; j != panel_width; ++j) {
          const float scale = of_row.scale * p.scales[first / p.weight_group * panel_width + j];
          c(m, j) = (c(m, j) + 0.0f) + rounded(static_cast<float>(exact[j]) * scale);
        }
      }
  }
  static void subtract_products(matrix_view<const float> a, const float* panels, matrix_view<float> c) noexcept {
    if (a.cols() == 0) return;  // then there are no panels
    for (std::size_t m = 0; m != c.rows(); ++m)
      for (std::size_t j = 0; j != c.cols(); ++j) {
        const float* const panel = panels + j / panel_width * float_panel_size(a.cols()) + j % panel_width;
        for (std::size_t k = 0; k != a.cols(); ++k) c(m, j) = add_product(c(m, j), -a(m, k), panel[k * panel_width]);
      }
  }
  template <int Bits>
  static void gemv(const float* x, std::size_t k, const std::uint8_t* bytes, float* sums) noexcept {
    double totals[panel_width] = {};
    for_each_block(k, [&](std::size_t block, std::size_t) {
      std::uint8_t rows[block_rows * panel_row];
      unpack_block<Bits>(bytes + block * sizeof(packed_block<Bits>), rows);
      for (std::size_t i = block * block_depth; i != std::min(k, (block + 1) * block_depth); ++i)
        for (std::size_t j = 0; j != panel_width; ++j) totals[j] += double{x[i]} * rows[code_at(j, i % block_depth)];
    });
    for (std::size_t j = 0; j != panel_width; ++j) sums[j] = static_cast<float>(totals[j]);
  }
  template <int Bits>
  static void add_groups(const packed_groups& groups, float* totals) noexcept {
    detail::add_groups_one_by_one<reference, Bits>(groups, totals);
  }

  static float dot(const float* a, const float* b, std::size_t n) noexcept {
    double total = 0;
    for (std::size_t i = 0; i != n; ++i) total += double{a[i]} * b[i];
    return static_cast<float>(total);
  }
  static void add(const float* x, float* y, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n; ++i) y[i] += x[i];
  }
  static void multiply(const float* x, float* y, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n; ++i) y[i] *= x[i];
  }
  static void rms_norm(const float* x, const float* gain, float epsilon, float* out, std::size_t n) noexcept {
    double squares = 0;
    for (std::size_t i = 0; i != n; ++i) squares += double{x[i]} * x[i];
    const auto factor = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(n) + epsilon));
    for (std::size_t i = 0; i != n; ++i) out[i] = x[i] * factor * gain[i];
  }
  static void layer_norm(const float* x, const float* gain, const float* bias, float epsilon, float* out,
                         std::size_t n) noexcept {
    double total = 0, squares = 0;
    for (std::size_t i = 0; i != n; ++i) total += x[i];
    const double mean = total / static_cast<double>(n);
    for (std::size_t i = 0; i != n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + epsilon);
    for (std::size_t i = 0; i != n; ++i) out[i] = static_cast<float>((x[i] - mean) * factor * gain[i] + bias[i]);
  }
  static void softmax(float* x, std::size_t n) noexcept {
    if (n == 0) return;
    const float top = *std::max_element(x, x + n);
    double total = 0;
    for (std::size_t i = 0; i != n; ++i) total += x[i] = std::exp(x[i] - top);
    const auto inverse = static_cast<float>(1 / total);
    for (std::size_t i = 0; i != n; ++i) x[i] *= inverse;
  }
  static float log_sum_exp(const float* x, std::size_t n) noexcept {
    if (n == 0) return -std::numeric_limits<float>::infinity();
    const float top = *std::max_element(x, x + n);
    double total = 0;
    for (std::size_t i = 0; i != n; ++i) total += std::exp(double{x[i]} - top);
    return static_cast<float>(top + std::log(total));
  }
  static void rope_half_split(float* head, const float* cos, const float* sin, std::size_t n) noexcept {
    for (std::size_t i = 0, half = n / 2; i != half; ++i) rotate(head[i], head[i + half], cos[i], sin[i]);
  }
  static void rope_interleaved(float* head, const float* cos, const float* sin, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n / 2; ++i) rotate(head[2 * i], head[2 * i + 1], cos[i], sin[i]);
  }
  static void silu(float* x, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n; ++i) x[i] = x[i] / (1.0f + std::exp(-x[i]));
  }
  static void gelu_tanh(float* x, std::size_t n) noexcept {
    constexpr double factor = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;  // √(2/π)
    for (std::size_t i = 0; i != n; ++i) {
      const double v = x[i];
      x[i] = static_cast<float>(0.5 * v * (1 + std::tanh(factor * (v + 0.044715 * v * v * v))));
    }
  }
  static void gelu_erf(float* x, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n; ++i)
      x[i] = static_cast<float>(0.5 * x[i] * (1 + std::erf(x[i] / std::numbers::sqrt2)));
  }
  static void relu(float* x, std::size_t n) noexcept {
    for (std::size_t i = 0; i != n; ++i) x[i] = std::max(x[i], 0.0f);
  }

 private:
  static void rotate(float& x, float& y, float cos, float sin) noexcept {
    const float a = x, b = y;
    x = a * cos - b * sin;
    y = a * sin + b * cos;
  }
  /// The words of superblocks [superblock, superblock + count) of a run of either generator, row after row.
  template <class Run>
  static void copy_words(const Run& run, std::uint64_t superblock, std::size_t count, std::uint32_t* words) noexcept {
    for (; count != 0; --count)
      for (const auto& row : rng::words_of(run, superblock++)) words = std::copy(row.begin(), row.end(), words);
  }
  /// Where a code panel has the code of weight (j, k).
  static constexpr std::size_t code_at(std::size_t j, std::size_t k) noexcept {
    return k / 4 * panel_row + j * 4 + k % 4;
  }
  static float start_of(matrix_view<const float> c, std::size_t m, std::size_t j, const float* bias,
                        bool accumulate) noexcept {
    return (accumulate ? c(m, j) : 0.0f) + (bias ? bias[j] : 0.0f);
  }
  static float at(const weight_row& w, std::size_t i) noexcept {
    const float value = w.direction ? add_product(w.values[i], w.scale, w.direction[i])
                        : w.signs   ? add_product(w.values[i], w.scale, w.signs[i])
                                    : w.values[i];
    return w.smoothing ? value * w.smoothing[i] : value;
  }
};

}  // namespace zoqat::simd

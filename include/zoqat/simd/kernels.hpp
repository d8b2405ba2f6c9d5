// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/random/stream.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace zoqat::simd {

/// Output features in one packed panel of weights, on every target. The GEMM consumes weights panel by panel:
///   float panel  [k][16]                 element (k, j) is weight (j, k)
///   code panel   [ceil(k / 4)][16][4]    byte (k / 4, j, k % 4) stands for the code of weight (j, k)
/// Rows beyond the matrix's last are zero and produce values nobody reads.
inline constexpr std::size_t panel_width = 16;

/// Floats that hold a float panel of depth k.
[[nodiscard]] constexpr std::size_t float_panel_size(std::size_t k) noexcept { return k * panel_width; }
/// Bytes that hold a code panel of depth k.
[[nodiscard]] constexpr std::size_t code_panel_size(std::size_t k) noexcept { return (k + 3) / 4 * 4 * panel_width; }

/// Codes in one block of bit-packed storage. A row of n codes takes ceil(n / 32) blocks of 4 * bits bytes.
inline constexpr std::size_t codes_per_block = 32;

/// Bytes of a bit-packed row of n codes.
[[nodiscard]] constexpr std::size_t packed_bytes(int bits, std::size_t n) noexcept {
  return (n + codes_per_block - 1) / codes_per_block * 4 * static_cast<std::size_t>(bits);
}

/// Least and greatest value of a row, zero included (the range of a quantizer always holds zero).
struct range {
  float min = 0, max = 0;
};

/// An affine grid: code c stands for `scale * (c - zero_point)`.
struct grid {
  float scale = 1;
  std::int32_t zero_point = 0;
  friend bool operator==(const grid&, const grid&) = default;
};

/// What a dynamic quantizer leaves beside the codes of one row.
struct quantized_row {
  grid where;
  std::int32_t sum = 0;  ///< of the codes: corrects the zero points of the other operand
};

/// The least and the greatest scale a grid may have. A flatter row quantizes to the zero point; a wider one is cut
/// off. Either way the scale, its reciprocal and the zero point are normal numbers, whatever the row.
inline constexpr float minimum_scale = 1e-10f, maximum_scale = 0x1p126f;

/// The grid of `bits` bits over `r` (section 4.2; the range includes zero).
/// Asymmetric: scale = (max - min) / (2^bits - 1), zero_point = -round(min / scale).
/// Symmetric: zero_point = 2^(bits-1), scale = max(max / (2^(bits-1) - 1), -min / 2^(bits-1)), so that the
/// range is covered on both sides.
/// The one place where a grid is derived from a range: reference, kernels, masters and export call it.
[[nodiscard]] inline grid grid_of(range r, int bits, bool symmetric) noexcept {
  const auto normal = [](float s) {
    return s > maximum_scale ? maximum_scale : s > minimum_scale ? s : minimum_scale;
  };
  if (symmetric) {
    const int half = 1 << (bits - 1);
    const float up = r.max / static_cast<float>(half > 1 ? half - 1 : 1), down = -r.min / static_cast<float>(half);
    return {normal(up > down ? up : down), half};
  }
  const auto top = static_cast<float>((1 << bits) - 1);
  const float scale = normal((r.max - r.min) / top), below = -round_half_even(r.min * (1.0f / scale));
  return {scale, static_cast<std::int32_t>(below < top ? below : top)};  // below > top: an infinite min
}

/// The kernels upper layers call, as a policy: `template <class Kernels = simd::default_kernels>`.
/// Every function is static, noexcept and pure but for its outputs; sizes may be zero; pointers need no
/// alignment; outputs may not overlap inputs unless said; nothing beyond the n elements is read or written.
/// Integer results, codes, packed bytes and directions are identical for all models of the concept. Float results
/// agree with `reference` within the bound given here, never bit by bit: "b ulp of t" is b units of the last place
/// of t, and n the number of terms of a sum.
///
/// Quantization rounds half to even and multiplies by the reciprocal: code = clamp(round(x * (1 / scale)) +
/// zero_point, 0, 2^bits - 1). The reciprocal is one float division; the product is rounded before the rest. Scales
/// are normal and |zero_point| < 2^21. It holds for every x: infinities take the outermost codes, and NaN the code 0.
/// min_max ignores NaN. Elsewhere NaN, and a row of softmax or log_sum_exp whose maximum is infinite, lead to NaN.
template <class K>
concept kernels = requires(const float* x, float* y, float s, std::size_t n, const std::uint8_t* codes,
                           std::uint8_t* bytes, std::int32_t* sums, const std::int32_t* const_sums, int bits, grid g,
                           matrix_view<const float> a, matrix_view<float> c, matrix_view<const std::uint8_t> q,
                           random::stream direction, std::uint64_t first) {
  /// Name of the backend and of the instruction set it computes with.
  { K::name() } -> std::convertible_to<const char*>;
  { K::target() } -> std::convertible_to<const char*>;

  // --- Directions: element i of out is element first + i of the stream; bit-identical everywhere. -----------
  { K::gaussian(direction, first, y, n) } noexcept;    // (stream, first, out, n): N(0, 1)
  { K::rademacher(direction, first, y, n) } noexcept;  // (stream, first, out, n): ±1 with equal odds
  /// out = x + s * u, the product rounded before the sum: bit-identical everywhere. `out` may be `x`.
  { K::add_scaled(x, x, s, y, n) } noexcept;  // (x, u, s, out, n)

  // --- Quantization of rows: exact. ----------------------------------------------------------------------------
  { K::min_max(x, n) } noexcept -> std::same_as<range>;
  { K::quantize(x, n, g, bits, bytes) } noexcept;    // codes by a given grid
  { K::dequantize(codes, n, g, y) } noexcept;        // scale * (code - zero_point), one rounding
  { K::sum(codes, n) } noexcept -> std::same_as<std::int32_t>;  // n < 2^23
  /// min_max, grid_of, quantize and sum of one row (a token): (x, n, bits, symmetric, codes).
  { K::quantize_row(x, n, bits, true, bytes) } noexcept -> std::same_as<quantized_row>;

  // --- Bit-packed storage (layout: simd/packing.hpp): exact. --------------------------------------------------
  { K::template pack<4>(codes, n, bytes) } noexcept;    // reads n codes, writes whole blocks (filled up with zero)
  { K::template unpack<4>(codes, n, bytes) } noexcept;  // reads whole blocks, writes n codes

  // --- Matrix products. ------------------------------------------------------------------------------------------
  /// Lays out `rows` (at most 16 rows of weights) as a panel; missing rows, and codes up to a multiple of 4, become
  /// zero.
  { K::pack_panel(a, y) } noexcept;      // float panel
  { K::pack_panel(q, bytes) } noexcept;  // code panel
  /// c[m, j] = (accumulate ? c[m, j] : bias ? bias[j] : 0) + sum_k a[m, k] * panel(j, k) for j < c.cols() <= 16.
  /// Bound: 2 (k + 1) ulp of the sum of the terms' magnitudes. a and c have the same number of rows.
  { K::gemm_panel(a, x, x, false, c) } noexcept;  // (a, panel, bias or nullptr, accumulate, c)
  /// sums[m][16] = sum_k a[m, k] * code(j, k): exact for k <= 32768. `row_sums[m]` = sum_k a[m, k] is at hand for
  /// targets that store codes with an offset. a holds codes of ActivationBits, the panel codes of WeightBits.
  { K::template gemm_panel<4, 4>(q, const_sums, codes, sums) } noexcept;  // (a, row_sums, panel, sums)

  // --- Rows. -------------------------------------------------------------------------------------------------------
  // Bound: 4 ulp of the result, for gelu of x; 2 n ulp of the sum of the terms' magnitudes where there is a sum, and
  // what follows from it for the results made from the sum. Terms and results below 2^-120 may be zero instead.
  { K::dot(x, x, n) } noexcept -> std::same_as<float>;
  { K::add(x, y, n) } noexcept;                     // y += x
  { K::multiply(x, y, n) } noexcept;                // y *= x
  { K::rms_norm(x, x, s, y, n) } noexcept;          // (x, gain, epsilon, out, n); out may be x
  { K::layer_norm(x, x, x, s, y, n) } noexcept;     // (x, gain, bias, epsilon, out, n); out may be x
  { K::softmax(y, n) } noexcept;                    // in place; exactly zero where x is -inf
  { K::log_sum_exp(x, n) } noexcept -> std::same_as<float>;  // -inf for n = 0
  { K::rope_half_split(y, x, x, n) } noexcept;      // (head, cos[n / 2], sin[n / 2], n), in place; n is even
  { K::rope_interleaved(y, x, x, n) } noexcept;     // likewise
  { K::silu(y, n) } noexcept;                       // in place: x / (1 + exp(-x))
  { K::gelu_tanh(y, n) } noexcept;                  // in place: 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
  { K::gelu_erf(y, n) } noexcept;                   // in place: 0.5 x (1 + erf(x / √2))
  { K::relu(y, n) } noexcept;                       // in place
};

}  // namespace zoqat::simd

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/random/stream.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::simd {

/// Output features in one panel of weights, on every target. Matrix products consume weights panel by panel:
///   float panel   [k][16]                element (k, j) is weight (j, k)
///   code panel    [ceil(k / 4)][16][4]   byte (k / 4, j, k % 4) is the code of weight (j, k)
///   packed panel  [ceil(k / 32)] blocks of 64 * bits bytes, see simd/packing.hpp
/// Rows beyond the matrix's last produce values nobody reads.
inline constexpr std::size_t panel_width = 16;

/// Floats that hold a float panel of depth k.
[[nodiscard]] constexpr std::size_t float_panel_size(std::size_t k) noexcept { return k * panel_width; }
/// Bytes that hold a code panel of depth k.
[[nodiscard]] constexpr std::size_t code_panel_size(std::size_t k) noexcept { return (k + 3) / 4 * 4 * panel_width; }

/// Depth of a block of a packed panel.
inline constexpr std::size_t block_depth = 32;

/// Bytes of a packed panel of depth k.
[[nodiscard]] constexpr std::size_t packed_panel_size(int bits, std::size_t k) noexcept {
  return (k + block_depth - 1) / block_depth * (block_depth * panel_width / 8) * static_cast<std::size_t>(bits);
}

/// Least and greatest value of a row, zero included (the range of a quantizer always holds zero).
struct range {
  float min = 0, max = 0;
};

/// An affine grid: code c stands for `scale * (c - zero_point) - minimum`. Grids of weights alone have a minimum
/// other than zero; then scale * (c - zero_point) is a number of float for all codes, so that a value is rounded
/// once, whether a target fuses the difference or not.
struct grid {
  float scale = 1;
  std::int32_t zero_point = 0;
  float minimum = 0;
  friend bool operator==(const grid&, const grid&) = default;
};

/// What a dynamic quantizer leaves beside the codes of one row.
struct quantized_row {
  simd::grid grid;
  std::int32_t sum = 0;  ///< of the codes: corrects the zero points of the other operand
};

/// A row of weights as a forward pass sees it: (values[i] + scale * u[i]) * smoothing[i], every product rounded
/// before the next operation. The direction u is `direction` or, where that is null, `signs`. Without either nothing
/// is added, and without smoothing nothing multiplied.
struct weight_row {
  const float* values;
  const float* direction = nullptr;
  float scale = 0;
  const float* smoothing = nullptr;
  packed_signs signs{};

  [[nodiscard]] constexpr bool moves() const noexcept { return direction || signs; }
};

/// The rows of an antithetic pair of lanes: (values[i] ± scale * u[i]) * smoothing[0 or 1][i], rounded like those of
/// a `weight_row`. There is a direction u, one or the other. Nothing is multiplied where the smoothing is null.
struct weight_pair {
  const float* values;
  const float* direction;
  float scale;
  const float* smoothing[2] = {nullptr, nullptr};
  packed_signs signs{};

  /// The first row of the pair, or the second.
  [[nodiscard]] constexpr weight_row row(std::size_t i) const noexcept {
    return {values, direction, i == 0 ? scale : -scale, smoothing[i], signs};
  }
};

/// The codes that weights on a grid may take, and the number taken from each of them as it is stored in a byte. The
/// grid has no minimum: who quantizes on one that has adds it to the weights first (quant::quantize_on).
struct code_range {
  simd::grid grid;
  std::int32_t least = 0, greatest = 0, offset = 0;
  float inverse = 0;  ///< of the scale, where that is rounded for storage alone; 0: the reciprocal

  /// What values are multiplied by.
  [[nodiscard]] constexpr float factor() const noexcept { return inverse != 0 ? inverse : 1.0f / grid.scale; }
};

/// The constants that convert the integer dot products of each column of a code panel into floats. The bytes of the
/// panel are codes of weights less an offset. Each array covers whole panels, so its length is a multiple of 16, and
/// entries beyond the last column may hold anything.
struct column_dequantization {
  const float* scale;              ///< of each column's grid
  const std::int32_t* sum;         ///< of each column's bytes
  const std::int32_t* zero_point;  ///< less the offset; null stands for zeros
};

/// The operands of a product of codes part by part: columns [p * depth, (p + 1) * depth) of `a` are part p, the last
/// one may be less deep. A part of a row of `a` has one grid, that of a group of whole parts. All grids have one zero
/// point.
struct code_parts {
  matrix_view<const std::uint8_t> a;         ///< [rows, k]
  matrix_view<const grid> grids;             ///< [groups, rows]
  matrix_view<const std::int32_t> row_sums;  ///< [parts, rows]: of the codes of a part; empty where zero points are
  std::size_t depth, group;                  ///< of a part and of a group
  const std::uint8_t* panels;                ///< [parts][panels of c]: depth by depth, the last one as deep as it is
  column_dequantization columns;             ///< [parts][columns_stride]
  std::size_t columns_stride;
};

/// The operands of a product of few rows of codes and one panel of weights as it is packed, part by part: columns
/// [p * depth, (p + 1) * depth) of `a` are part p, the last one may be less deep. Where there are several, the depth
/// is a multiple of 16. A part of a row of `a` has one grid, and so has a part of a column of weights: those of
/// groups of whole parts. Codes of `a` are within [-128, 127] of their zero points.
struct packed_parts {
  matrix_view<const std::uint8_t> a;         ///< [rows, k]
  matrix_view<const grid> grids;             ///< [groups of a, rows]
  matrix_view<const std::int32_t> row_sums;  ///< [parts, rows]: of the codes of a part
  std::size_t depth, group;                  ///< of a part and of a group of a
  const std::uint8_t* panel;                 ///< packed, k deep
  std::size_t weight_group;                  ///< depth of a group of weights
  const float* scales;                       ///< [groups of weights][16]
  const std::uint8_t* zero_points;           ///< [groups of weights][16]; null: all are `zero_point`
  std::int32_t zero_point;
};

/// The operands of a product of a row of floats and a packed panel whose weights have a grid for each group of
/// depths. Where there are several groups, they are multiples of `block_depth` deep, and the last one may be less
/// deep.
struct packed_groups {
  const float* x;             ///< [k]
  std::size_t k, group;       ///< depth of the panel and of a group
  const std::uint8_t* panel;  ///< packed, k deep
  const float* x_sums;        ///< of the x of a group; those of neighbors are x_sums_stride apart
  std::size_t x_sums_stride;
  const float* scales;              ///< [groups][16]
  const std::uint8_t* zero_points;  ///< [groups][16]; null: all are `zero_point`
  std::int32_t zero_point;
  const float* minima;  ///< [groups][16]; null: there are none
};

/// An address range that is read next. A kernel that computes from its caches prefetches it while it runs.
struct prefetch_hint {
  const void* data = nullptr;
  std::size_t bytes = 0;
};

/// The offset of codes in the panels of a product: below 8 bits the zero point, so that the bytes are signed weights
/// in units of their scale; at 8 bits 128, since a difference of two bytes does not fit in one.
[[nodiscard]] constexpr std::int32_t panel_offset(int weight_bits, std::int32_t zero_point) noexcept {
  return weight_bits < 8 ? zero_point : 128;
}

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

/// Of fp16 as the bits of a float: 2^-14, below which it is a grid of 2^-24; what lies between the biases of the two
/// exponents; and the greatest number, as its own bits.
inline constexpr std::uint32_t smallest_normal_half = 0x38800000, rebased_half = 112u << 23, greatest_half = 0x7bff;

namespace detail {
/// add_parts by gemm.
template <class Kernels, int ActivationBits, int WeightBits>
void add_parts_one_by_one(const code_parts& p, matrix_view<float> c) noexcept {
  const std::size_t part_bytes = c.cols() / panel_width * code_panel_size(p.depth);
  for (std::size_t first = 0, part = 0; first < p.a.cols(); first += p.depth, ++part) {
    const std::size_t left = p.a.cols() - first, depth = left < p.depth ? left : p.depth;
    const std::size_t at = part * p.columns_stride;
    const std::int32_t* const zero_points = p.columns.zero_point ? p.columns.zero_point + at : nullptr;
    Kernels::template gemm<ActivationBits, WeightBits>(
        p.a.col_block(first, depth), p.grids.row(first / p.group).data(),
        zero_points ? p.row_sums.row(part).data() : nullptr, p.panels + part * part_bytes,
        {p.columns.scale + at, p.columns.sum + at, zero_points}, nullptr, true, c, prefetch_hint{});
  }
}
/// add_groups by gemv.
template <class Kernels, int Bits>
void add_groups_one_by_one(const packed_groups& g, float* totals) noexcept {
  for (std::size_t first = 0, group = 0; first < g.k; first += g.group, ++group) {
    float sums[panel_width];
    Kernels::template gemv<Bits>(g.x + first, g.k - first < g.group ? g.k - first : g.group,
                                 g.panel + packed_panel_size(Bits, first), sums);
    const float x_sum = g.x_sums[group * g.x_sums_stride];
    for (std::size_t j = 0; j != panel_width; ++j) {
      const std::size_t at = group * panel_width + j;
      const auto zero_point = static_cast<float>(g.zero_points ? g.zero_points[at] : g.zero_point);
      totals[j] += g.scales[at] * (sums[j] - zero_point * x_sum);
      if (g.minima) totals[j] -= g.minima[at] * x_sum;
    }
  }
}
}  // namespace detail

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
concept kernels =
    requires(const float* x, float* y, float s, std::size_t n, const std::uint8_t* codes, std::uint8_t* bytes,
             const std::int32_t* const_sums, int bits, grid g, weight_row w, const bf16* halves, bf16* stored,
             const std::uint16_t* noise, packed_signs signs, std::uint32_t* words, weight_pair pair, code_range r,
             column_dequantization columns, prefetch_hint next, const code_parts& parts, const packed_parts& packed,
             const packed_groups& groups, matrix_view<const float> a, matrix_view<float> c,
             matrix_view<const std::uint8_t> q, rng::stream direction, std::uint64_t first) {
      /// Name of the backend and of the instruction set it computes with.
      { K::name() } -> std::convertible_to<const char*>;
      { K::target() } -> std::convertible_to<const char*>;

      // --- Directions: element i of out is element first + i of the stream; bit-identical everywhere. -----------
      { K::gaussian(direction, first, y, n) } noexcept;      // (stream, first, out, n): N(0, 1)
      { K::gaussian_ars(direction, first, y, n) } noexcept;  // the same from the bits of ARS
      { K::rademacher(direction, first, y, n) } noexcept;    // (stream, first, out, n): ±1 with equal odds
      /// out = x + s * u, the product rounded before the sum: bit-identical everywhere. `out` may be `x`.
      { K::add_scaled(x, x, s, y, n) } noexcept;  // (x, u, s, out, n)
      /// (stream, superblock, count, words): the elements of `rademacher` as bits, those of superblocks
      /// [superblock, superblock + count), 64 words each, laid out as `packed_signs` says.
      { K::rademacher_words(direction, first, n, words) } noexcept;
      /// (stream, superblock, count, words): the bits of ARS of superblocks [superblock, superblock + count), 64
      /// words each, those of its 16 blocks in the order of their numbers.
      { K::ars_words(direction, first, n, words) } noexcept;
      /// add_scaled by signs: the same bits.
      { K::add_signs(x, signs, s, y, n) } noexcept;  // (x, u, s, out, n)

      // --- Quantization of rows: exact. ----------------------------------------------------------------------------
      { K::min_max(x, n) } noexcept -> std::same_as<range>;
      { K::quantize(x, n, g, bits, bytes) } noexcept;               // codes by a given grid
      { K::dequantize(codes, n, g, y) } noexcept;                   // scale * (code - zero_point) - minimum
      { K::sum(codes, n) } noexcept -> std::same_as<std::int32_t>;  // n < 2^23
      /// min_max, grid_of, quantize and sum of one row (a token): (x, n, bits, symmetric, codes).
      { K::quantize_row(x, n, bits, true, bytes) } noexcept -> std::same_as<quantized_row>;
      /// The same of a row of weights, without a copy of it: its min_max, its values, and its codes by a given grid,
      /// bytes[i] = clamp(round(w[i] * r.factor()) + zero_point, least, greatest) - offset, with their sum as signed
      /// bytes. offset leaves codes within [-128, 127], or is zero for plain codes, whose sum means nothing beyond 7
      /// bits.
      { K::min_max(w, n) } noexcept -> std::same_as<range>;
      { K::materialize(w, n, y) } noexcept;
      { K::quantize(w, n, r, bytes) } noexcept -> std::same_as<std::int32_t>;
      /// Both rows of a pair at once, from one reading: (pair, n, ranges[2], bytes of either), with the sums.
      { K::quantize(pair, n, &r, bytes, bytes) } noexcept -> std::same_as<std::array<std::int32_t, 2>>;

      // --- Masters of fewer bits: exact. ---------------------------------------------------------------------------
      { K::widen(halves, n, y) } noexcept;  // (halves, n, out)
      /// Stochastic rounding: of the two neighbors of x[i] the one that noise[i], uniform in [0, 2^16), chooses, so
      /// that the mean is x[i]. To bf16, whose infinities and NaN stay what they are (NaN quiet), and of which the
      /// greatest numbers may become infinite.
      { K::narrow(x, noise, n, stored) } noexcept;
      /// The same of fp16, on its whole range: subnormals to within 2^-16 of their last bit on average, and numbers
      /// beyond ±65504 become ±65504. Without noise to the nearest, half to even.
      requires requires(const fp16* half, fp16* out) {
        { K::widen(half, n, y) } noexcept;
        { K::narrow(x, noise, n, out) } noexcept;
        { K::narrow(x, n, out) } noexcept;
      };
      /// To 8-bit codes: floor(x * (1 / scale) + (noise / 2^16 + zero_point)), clamped to [0, 255]; NaN takes the
      /// code 0.
      { K::narrow(x, noise, n, g, bytes) } noexcept;

      // --- Bit-packed storage (layout: simd/packing.hpp): exact. --------------------------------------------------
      /// (code panel, depth, packed panel): reads ceil(k / 4) words of each column, writes whole blocks, filled up
      /// with zero. Codes are unsigned and below 2^Bits.
      { K::template pack<4>(codes, n, bytes) } noexcept;
      /// (packed panel, depth, offsets[16] or null, code panel): writes ceil(k / 4) words of each column, every byte
      /// less its column's offset (modulo 256). `n` need not be the depth of the whole panel.
      { K::template unpack<4>(codes, n, codes, bytes) } noexcept;

      // --- Matrix products.
      // ------------------------------------------------------------------------------------------
      /// Lays out `rows` (at most 16 rows of weights) as a panel; missing rows, and codes up to a multiple of 4,
      /// become zero.
      { K::pack_panel(a, y) } noexcept;      // float panel
      { K::pack_panel(q, bytes) } noexcept;  // code panel
      /// (code panel, first, k, grids[16], float panel): depths [first, first + k) of a panel of plain codes become
      /// scale * (code - zero_point) - minimum in a float panel of depth k.
      { K::dequantize_panel(codes, n, n, &g, y) } noexcept;
      /// c[m, j] = start[m, j] + sum_k a[m, k] * panel(j, k), for as many consecutive panels as cover c.cols(), where
      /// start[m, j] = (accumulate ? c[m, j] : 0) + (bias ? bias[j] : 0). Bound: 2 (k + 2) ulp of the sum of the
      /// terms' magnitudes. a and c have the same number of rows. Panels may be deeper than a has columns: what is
      /// below is left out.
      { K::gemm(a, x, x, false, c) } noexcept;     // (a, panels, bias or null, accumulate, c)
      { K::gemm(a, x, x, false, c, n) } noexcept;  // (a, panels, bias or null, accumulate, c, depth of the panels)
      /// The same of codes, a of ActivationBits with a grid for each row, weights of WeightBits in panels with the
      /// offsets of `panel_offset`:
      ///   c[m, j] = start[m, j] + exact[m, j] * (scale[m] * scale[j]), start as above,
      ///   exact[m, j] = sum_k (a[m, k] - zero_point[m]) * (weight - its zero point)(j, k)
      /// where `exact` is an integer, exact for k <= 32768, and each float operation is rounded on its own: the
      /// result is the same on every target. row_sums[m] = sum_k a[m, k]; null is allowed where columns.zero_point
      /// is. What pads a panel's depth to a multiple of 4 may be anything. `next` is a hint.
      { K::template gemm<4, 4>(q, &g, const_sums, codes, columns, x, false, c, next) } noexcept;
      /// Products of codes part by part, from the first on, c[m, j] += exact[m, j] * (scale[m] * scale[j]) each, as
      /// gemm computes them one by one: the same bits. c has the columns of whole panels.
      { K::template add_parts<8, 4>(parts, c) } noexcept;
      /// The same of weights that are not unpacked, for few rows, where reading the weights is all there is to do:
      /// the bits of add_parts. c has the 16 columns of the panel.
      { K::template add_packed_parts<8, 4>(packed, c) } noexcept;
      /// c[m, j] -= a[m, k] * panel(j, k) for k = 0, 1, ..., each product and each difference rounded on its own: the
      /// same bits on every target. c has the columns of whole panels. What minima of weights take off a product.
      { K::subtract_products(a, x, c) } noexcept;  // (a, panels, c)
      /// sums[j] = sum_k x[k] * code(j, k) over a packed panel: for few rows, where reading the weights is all there
      /// is to do. Bound as gemm.
      { K::template gemv<4>(x, n, codes, y) } noexcept;  // (x, k, packed panel, sums[16])
      /// totals[j] += scale (sums[j] - zero_point * x_sum) - minimum * x_sum of each group, with sums as of gemv.
      { K::template add_groups<4>(groups, y) } noexcept;  // (groups, totals[16])

      // --- Rows.
      // -------------------------------------------------------------------------------------------------------
      // Bound: 4 ulp of the result, for gelu of x; 2 n ulp of the sum of the terms' magnitudes where there is a sum,
      // and what follows from it for the results made from the sum. Terms and results below 2^-120 may be zero
      // instead.
      { K::dot(x, x, n) } noexcept -> std::same_as<float>;
      { K::add(x, y, n) } noexcept;                              // y += x
      { K::multiply(x, y, n) } noexcept;                         // y *= x
      { K::rms_norm(x, x, s, y, n) } noexcept;                   // (x, gain, epsilon, out, n); out may be x
      { K::layer_norm(x, x, x, s, y, n) } noexcept;              // (x, gain, bias, epsilon, out, n); out may be x
      { K::softmax(y, n) } noexcept;                             // in place; exactly zero where x is -inf
      { K::log_sum_exp(x, n) } noexcept -> std::same_as<float>;  // -inf for n = 0
      { K::rope_half_split(y, x, x, n) } noexcept;   // (head, cos[n / 2], sin[n / 2], n), in place; n is even
      { K::rope_interleaved(y, x, x, n) } noexcept;  // likewise
      { K::silu(y, n) } noexcept;                    // in place: x / (1 + exp(-x))
      { K::gelu_tanh(y, n) } noexcept;               // in place: 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
      { K::gelu_erf(y, n) } noexcept;                // in place: 0.5 x (1 + erf(x / √2))
      { K::relu(y, n) } noexcept;                    // in place
    };

}  // namespace zoqat::simd

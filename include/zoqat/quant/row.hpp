// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/quant/scheme.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::quant {

/// A scale as it is stored.
template <class Weight>
[[nodiscard]] typename Weight::scale_type stored_scale(float scale) noexcept {
  return typename Weight::scale_type(Weight::scale_format::rounded(scale));
}

/// A scale times a learned factor, as it is stored.
template <class Weight>
[[nodiscard]] float scaled(float scale, float factor) noexcept {
  return Weight::scale_format::rounded(std::clamp(scale * factor, simd::minimum_scale, simd::maximum_scale));
}

/// The grid of weights with range `r`. `clipping` points at the parameters of the clipping policy, if it has any.
///
/// Never inlined: the compiler may contract a product and a sum in one copy and not in another, and a grid must be
/// the same bits wherever it is made.
template <class Weight>
[[nodiscard, gnu::noinline]] code_grid grid_of(simd::range r, const float* clipping) noexcept {
  code_grid g = Weight::clipping::grid_of(r, Weight::bits, Weight::zeros, clipping);
  // Rounding the scale by up to 2^-11 of itself moves the ends of 255 steps by an eighth of a step: zero stays put.
  g.grid.scale = Weight::scale_format::rounded(g.grid.scale);
  return g;
}

/// The number that the scales of some grids are multiples of: the least power of two of which the greatest scale is
/// no more than the greatest factor, so that scales that are multiples already stay what they are.
template <class Weight>
  requires Weight::shares_scales
[[nodiscard]] float shared_unit(std::span<const simd::grid> grids) noexcept {
  float greatest = 0;
  for (const simd::grid& g : grids) greatest = std::max(greatest, g.scale);
  // A quarter is what the greatest multiple may be off by, and no other multiple comes near.
  const float least = greatest / (static_cast<float>(Weight::scale_format::greatest) + 0.25f);
  int exponent = 0;
  const float fraction = std::frexp(least, &exponent);  // in [1/2, 1)
  return std::ldexp(1.0f, std::clamp(fraction == 0.5f ? exponent - 1 : exponent, -24, 15));
}
/// The factor of that number that a grid's scale is.
template <class Weight>
  requires Weight::shares_scales
[[nodiscard]] int shared_factor(const simd::grid& g, float unit) noexcept {
  using format = typename Weight::scale_format;
  const int step = format::half_minima && g.zero_point % 2 != 0 ? 2 : 1;
  const float multiple = round_half_even(g.scale / (unit * static_cast<float>(step)));
  return step * static_cast<int>(std::clamp(multiple, 1.0f, static_cast<float>(format::greatest / step)));
}
/// Rounds the scales of a row's grids to what the format can store of them together; nothing where each is stored on
/// its own.
template <class Weight>
void share_scales(std::span<simd::grid> grids) noexcept {
  if constexpr (Weight::shares_scales)
    for (; !grids.empty(); grids = grids.subspan(std::min(Weight::scale_format::groups, grids.size()))) {
      const auto sharing = grids.first(std::min(Weight::scale_format::groups, grids.size()));
      const float unit = shared_unit<Weight>(sharing);
      for (simd::grid& g : sharing) g.scale = unit * static_cast<float>(shared_factor<Weight>(g, unit));
    }
}

/// Codes of weights on a given grid.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
void quantize_on(std::span<const float> weights, const code_grid& g, std::uint8_t* codes) noexcept {
  const simd::code_range codes_of_grid{g.grid, g.least, g.greatest, 0};
  Kernels::quantize(simd::weight_row{weights.data()}, weights.size(), codes_of_grid, codes);
}

/// Calls f(group, first, count) for the groups of a row of `in` weights; the last one may be short.
template <class Weight, class F>
void for_each_group(std::size_t in, F&& f) {
  const std::size_t size = Weight::group_size(in);
  for (std::size_t group = 0, first = 0; first < in; ++group, first += size)
    f(group, first, std::min(size, in - first));
}

/// Inputs that are multiplied in integers together: [first, first + count) of a row. Their weights share a grid, that
/// of group `weights`, and so do they, that of group `inputs`.
struct product_part {
  std::size_t index, first, count, weights, inputs;
};

/// Inputs in a part of a row of `in`, the last one excepted: the smaller of the two groups. `Activation` is void
/// where activations are not quantized.
template <class Weight, class Activation>
[[nodiscard]] constexpr std::size_t part_size(std::size_t in) noexcept {
  if constexpr (std::is_void_v<Activation>)
    return Weight::group_size(in);
  else
    return std::min(Weight::group_size(in), Activation::group_size(in));
}
/// Parts in a row of `in` inputs.
template <class Weight, class Activation>
[[nodiscard]] constexpr std::size_t parts(std::size_t in) noexcept {
  return in == 0 ? 0 : (in - 1) / part_size<Weight, Activation>(in) + 1;
}
/// Calls f(product_part) for the parts of a row of `in` inputs.
template <class Weight, class Activation, class F>
void for_each_part(std::size_t in, F&& f) {
  const std::size_t size = part_size<Weight, Activation>(in);
  for (std::size_t first = 0; first < in; first += size) {
    std::size_t inputs = 0;
    if constexpr (!std::is_void_v<Activation>) inputs = first / Activation::group_size(in);
    f(product_part{first / size, first, std::min(size, in - first), first / Weight::group_size(in), inputs});
  }
}

/// Quantizes one row: derives the grid of each of its groups from the weights and the clipping parameters, then
/// the codes. Writes `row.size()` codes and `groups(row.size())` grids. `clipping` holds the policy's parameters
/// group after group. Not for per_tensor weights, whose grid comes from the whole matrix.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
void quantize_row(std::span<const float> row, const float* clipping, std::uint8_t* codes,
                  simd::grid* grids) noexcept {
  static_assert(!Weight::whole_tensor, "quant::quantize_row: a per_tensor grid comes from the whole matrix");
  const auto grid_of_group = [&](std::size_t group, std::size_t first, std::size_t count) {
    return grid_of<Weight>(Kernels::min_max(row.data() + first, count),
                           clipping + group * Weight::clipping::parameters);
  };
  if constexpr (Weight::shares_scales) {
    for_each_group<Weight>(row.size(), [&](std::size_t group, std::size_t first, std::size_t count) {
      grids[group] = grid_of_group(group, first, count).grid;
    });
    share_scales<Weight>({grids, Weight::groups(row.size())});
  }
  for_each_group<Weight>(row.size(), [&](std::size_t group, std::size_t first, std::size_t count) {
    code_grid g = grid_of_group(group, first, count);
    if constexpr (Weight::shares_scales) g.grid = grids[group];
    quantize_on<Weight, Kernels>(row.subspan(first, count), g, codes + first);
    grids[group] = g.grid;
  });
}

/// The weights a row of codes stands for.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
void dequantize_row(std::span<const std::uint8_t> codes, const simd::grid* grids, float* out) noexcept {
  for_each_group<Weight>(codes.size(), [&](std::size_t group, std::size_t first, std::size_t count) {
    Kernels::dequantize(codes.data() + first, count, grids[group], out + first);
  });
}

}  // namespace zoqat::quant

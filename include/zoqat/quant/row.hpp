// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::quant {

/// A scale as it is stored.
template <class Weight>
[[nodiscard]] typename Weight::scale_type stored_scale(float scale) noexcept {
  return typename Weight::scale_type(Weight::scale_format::rounded(scale));
}

/// A minimum as it is stored, like the scale beside it: no more than the greatest number of half precision, or than
/// the greatest multiple of it that groups share.
template <class Weight>
[[nodiscard]] typename Weight::scale_type stored_minimum(float minimum) noexcept {
  float most = 65504.0f;
  if constexpr (Weight::shares_scales) most *= static_cast<float>(Weight::scale_format::greatest);
  return typename Weight::scale_type(std::clamp(minimum, -most, most));
}

/// A scale times a learned factor, as it is stored.
template <class Weight>
[[nodiscard]] float scaled(float scale, float factor) noexcept {
  return Weight::scale_format::rounded(std::clamp(scale * factor, simd::minimum_scale, simd::maximum_scale));
}

/// A grid times a learned factor, as it is stored.
template <class Weight>
[[nodiscard]] simd::grid scaled(simd::grid g, float factor) noexcept {
  g.scale = scaled<Weight>(g.scale, factor);
  if constexpr (Weight::has_minima) g.minimum = static_cast<float>(stored_minimum<Weight>(g.minimum * factor));
  return g;
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
  if constexpr (Weight::has_minima) g.grid.minimum = static_cast<float>(stored_minimum<Weight>(g.grid.minimum));
  return g;
}

/// What the scales of some grids, and their minima, are multiples of: numbers of half precision.
struct shared_units {
  float scale = 0, minimum = 0;
  friend bool operator==(const shared_units&, const shared_units&) = default;
};

namespace detail {
/// The number of half precision of which `greatest` is nearest to `most` times it: then numbers that are multiples
/// already stay what they are. Below the normal numbers, where half precision is too coarse for that, the least power
/// of two of which `greatest` is no more than `most` times.
[[nodiscard]] inline float unit_of(float greatest, int most) noexcept {
  if (!(greatest > 0)) return 0;
  const auto times = static_cast<float>(most);
  if (greatest / times >= 0x1p-14f) return static_cast<float>(fp16(std::min(greatest / times, 65504.0f)));
  // A quarter is what the greatest multiple may be off by, and no other multiple comes near.
  int exponent = 0;
  const float fraction = std::frexp(greatest / (times + 0.25f), &exponent);  // in [1/2, 1)
  return std::ldexp(1.0f, std::max(fraction == 0.5f ? exponent - 1 : exponent, -24));
}
}  // namespace detail

/// The numbers that these grids come nearest to being multiples of: the greatest scale is the greatest multiple of
/// its, and so is the greatest minimum, 0 where all are.
template <class Weight>
  requires Weight::shares_scales
[[nodiscard]] shared_units units_of(std::span<const simd::grid> grids) noexcept {
  shared_units greatest;
  for (const simd::grid& g : grids)
    greatest = {std::max(greatest.scale, g.scale), std::max(greatest.minimum, g.minimum)};
  constexpr int most = Weight::scale_format::greatest;
  return {detail::unit_of(greatest.scale, most), detail::unit_of(greatest.minimum, most)};
}
/// The multiples of these numbers that a grid's scale and minimum are.
struct shared_factors {
  int scale = 1, minimum = 0;
};
/// Those nearest to a grid: a scale has 1 at least.
template <class Weight>
  requires Weight::shares_scales
[[nodiscard]] shared_factors factors_of(const simd::grid& g, const shared_units& units) noexcept {
  const auto factor = [](float x, float unit, float least) {
    constexpr auto most = static_cast<float>(Weight::scale_format::greatest);
    const float multiple = unit > 0 ? round_half_even(x / unit) : least;
    return static_cast<int>(multiple > least ? std::min(multiple, most) : least);  // NaN: the least
  };
  return {factor(g.scale, units.scale, 1), factor(g.minimum, units.minimum, 0)};
}
/// A grid on these multiples.
[[nodiscard]] inline simd::grid grid_on(const shared_factors& factors, const shared_units& units,
                                        std::int32_t zero_point) noexcept {
  return {units.scale * static_cast<float>(factors.scale), zero_point,
          units.minimum * static_cast<float>(factors.minimum)};
}
/// Calls f(first, grids) for the grids of a row that share what they are multiples of.
template <class Weight, class Grid, class F>
  requires Weight::shares_scales
void for_each_sharing(std::span<Grid> grids, F&& f) {
  constexpr std::size_t groups = Weight::scale_format::groups;
  for (std::size_t first = 0; first < grids.size(); first += groups)
    f(first, grids.subspan(first, std::min(groups, grids.size() - first)));
}
/// Rounds the grids of a row to what the format can store of them together; nothing where each is stored on its own.
template <class Weight>
void share_scales(std::span<simd::grid> grids) noexcept {
  if constexpr (Weight::shares_scales)
    for_each_sharing<Weight>(grids, [](std::size_t, std::span<simd::grid> sharing) {
      const shared_units units = units_of<Weight>(sharing);
      for (simd::grid& g : sharing) g = grid_on(factors_of<Weight>(g, units), units, g.zero_point);
    });
}

namespace detail {
/// out = x + y. Never inlined, so that no compiler fuses the sum with what is before it or comes after.
[[gnu::noinline]] inline void add_number(std::span<const float> x, float y, float* out) noexcept {
  for (std::size_t i = 0; i != x.size(); ++i) out[i] = x[i] + y;
}
}  // namespace detail

/// Codes of weights on a given grid, and their sum. A minimum is added to the weights, and the sum rounded, before
/// they are multiplied.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
std::int32_t quantize_on(std::span<const float> weights, const code_grid& g, std::uint8_t* codes) noexcept {
  const simd::code_range codes_of_grid{g.grid, g.least, g.greatest, 0};
  if constexpr (Weight::has_minima) {
    std::int32_t sum = 0;
    alignas(alignment) float moved[256];
    for (std::size_t first = 0; first < weights.size(); first += std::size(moved)) {
      const auto some = weights.subspan(first, std::min(std::size(moved), weights.size() - first));
      detail::add_number(some, g.grid.minimum, moved);
      sum += Kernels::quantize(simd::weight_row{moved}, some.size(), codes_of_grid, codes + first);
    }
    return sum;
  } else {
    return Kernels::quantize(simd::weight_row{weights.data()}, weights.size(), codes_of_grid, codes);
  }
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

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// One row of quantized weights while it is being found.
struct rounded_row {
  std::vector<std::uint8_t> codes;  ///< [in]
  std::vector<simd::grid> grids;    ///< [groups]
  double error = 0;                 ///< e H eᵀ
};

namespace detail {

/// y += a x, [n] each, in blocks whose size the compiler knows and therefore vectorizes.
inline void add_scaled(std::span<const double> x, double a, std::span<double> y) {
  constexpr std::size_t block = 8;
  const double* const __restrict from = x.data();
  double* const __restrict to = y.data();
  std::size_t i = 0;
  for (; i + block <= x.size(); i += block)
    for (std::size_t j = 0; j != block; ++j) to[i + j] += a * from[i + j];
  for (; i != x.size(); ++i) to[i] += a * from[i];
}

/// The least and the greatest of some weights, zero included.
[[nodiscard]] inline simd::range range_of(std::span<const double> weights) noexcept {
  simd::range r;
  for (const double w : weights) r = {std::min(r.min, static_cast<float>(w)), std::max(r.max, static_cast<float>(w))};
  return r;
}
/// The grid over all of a range, as it is stored.
template <class Weight>
[[nodiscard]] simd::grid unclipped_grid(simd::range r) noexcept {
  return quant::grid_of<typename Weight::template with_clipping<quant::clip::none>>(r, nullptr).grid;
}
/// What a code stands for.
[[nodiscard]] inline double value_of(std::uint8_t code, const simd::grid& g) noexcept {
  return static_cast<double>(g.scale) * (code - g.zero_point) - static_cast<double>(g.minimum);
}
/// The code nearest to a weight.
template <class Weight>
[[nodiscard]] std::uint8_t nearest_code(double w, const simd::grid& g) noexcept {
  const double code =
      std::nearbyint((w + static_cast<double>(g.minimum)) / static_cast<double>(g.scale)) + g.zero_point;
  return static_cast<std::uint8_t>(std::clamp(code, 0.0, static_cast<double>((1 << Weight::bits) - 1)));
}

/// The weights of a layer that a smoothing leads to, which are what is rounded: W̃ = s ⊙ W [out, in].
template <class Linear>
[[nodiscard]] matrix<double> smoothed_weights(const Linear& layer, const nn::smoothing& smoothing) {
  matrix<float> scales;
  smoothing.scales(inference_lane{}, scales);
  matrix<double> weights(layer.out_features(), layer.in_features());
  for (std::size_t r = 0; r != weights.rows(); ++r)
    for (std::size_t k = 0; k != weights.cols(); ++k)
      weights(r, k) = static_cast<double>(layer.weight().values()(r, k)) *
                      (scales.empty() ? 1.0 : static_cast<double>(scales(0, k)));
  return weights;
}
/// Makes a layer's grids those of some rows, and the masters stay.
template <class Linear>
void set_grids(Linear& layer, std::span<const rounded_row> rows) {
  for (std::size_t row = 0; row != rows.size(); ++row) layer.quantizer().set_grids(row, rows[row].grids);
}
/// Makes a layer's grids and codes those of some rows.
template <class Linear>
void set_codes(Linear& layer, const nn::smoothing& smoothing, std::span<const rounded_row> rows) {
  matrix<float> scales;
  smoothing.scales(inference_lane{}, scales);
  for (std::size_t row = 0; row != rows.size(); ++row)
    layer.quantizer().set_row(row, rows[row].codes, rows[row].grids, scales.flat());
}

}  // namespace detail
}  // namespace zoqat::ptq

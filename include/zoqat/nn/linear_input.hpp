// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/scheme.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace zoqat::nn {

/// The input of a set of linear layers that read the same site, made ready once for all of them: smoothed with each
/// lane's s and δ (eq. 4) and, if the scheme quantizes activations, quantized token by token.
template <class Scheme>
struct linear_input {
  matrix<float> scales;  ///< s of each lane: [lanes, in]; empty without smoothing
  matrix<float> shifts;  ///< δ of each lane: [lanes, in]; empty without shifting
  matrix_view<const float> values;         ///< smoothed input [rows, in], where activations stay in full precision
  matrix<std::uint8_t> codes;              ///< [rows, in], where they do not
  std::vector<simd::grid> grids;           ///< of each row of codes
  matrix<std::int32_t> sums;               ///< of the codes in each group of weights: [groups, rows]

  /// `x` is [rows, in] and must outlive this.
  template <class Pass>
  linear_input(const Pass& pass, matrix_view<const float> x, const smoothing& site) {
    using kernels = typename Pass::kernels;
    site.scales(pass.lanes, scales);
    site.shifts(pass.lanes, shifts);
    matrix<float> inverse = scales;
    for (float& s : inverse.flat()) s = 1.0f / s;
    const bool smooth = site.active();
    if (smooth) smoothed_.reshape(x.rows(), x.cols());
    values = smooth ? matrix_view<const float>(smoothed_) : x;
    if constexpr (Scheme::quantizes_activations) reserve_codes(x.rows(), x.cols());
    pass.for_each_row([&](std::size_t row) {
      if (smooth) {
        const std::size_t lane = row / pass.tokens();
        float* const out = smoothed_.row(row).data();
        if (shifts.empty()) std::copy_n(x.row(row).data(), x.cols(), out);
        else kernels::add_scaled(x.row(row).data(), shifts.row(lane).data(), -1.0f, out, x.cols());
        kernels::multiply(inverse.row(lane).data(), out, x.cols());
      }
      if constexpr (Scheme::quantizes_activations) quantize<kernels>(row);
    });
  }

 private:
  void reserve_codes(std::size_t rows, std::size_t in) {
    codes.reshape(rows, in);
    grids.resize(rows);
    sums.reshape(Scheme::weight_type::groups(in), rows);
  }
  template <class Kernels>
  void quantize(std::size_t row) {
    using activation = typename Scheme::activation_type;
    std::uint8_t* const to = codes.row(row).data();
    const auto made =
        Kernels::quantize_row(values.row(row).data(), values.cols(), activation::bits, activation::symmetric, to);
    grids[row] = made.where;
    if (sums.rows() == 1) {
      sums(0, row) = made.sum;
      return;
    }
    quant::for_each_group<typename Scheme::weight_type>(
        values.cols(), [&](std::size_t group, std::size_t first, std::size_t count) {
          sums(group, row) = Kernels::sum(to + first, count);
        });
  }

  matrix<float> smoothed_;
};

}  // namespace zoqat::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/quant/activation_codes.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/scheme.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>

namespace zoqat::inline ZOQAT_ABI::nn {

/// So few tokens on a lane that reading the weights is all the work of a product: no panel pays for itself.
inline constexpr std::size_t few_tokens = 4;

/// The input of all linear layers that read one input, such as q, k and v. It is smoothed with the s and δ of each
/// lane (eq. 4) and, if the scheme quantizes activations, quantized token by token or in groups, once for all of
/// these layers. It lives in the workspace of the pass, so it is valid until the next linear_input of the same pass
/// is made.
template <class Scheme>
class linear_input {
  input_buffers& work_;

 public:
  const matrix<float>& scales = work_.scales;  ///< s of each lane: [lanes, in]; empty without smoothing
  const matrix<float>& shifts = work_.shifts;  ///< δ of each lane: [lanes, in]; empty without shifting
  matrix_view<const float> original;           ///< [rows, in], before smoothing and quantization
  matrix_view<const float> values;             ///< smoothed [rows, in], where activations stay in full precision
  matrix_view<const std::uint8_t> codes;       ///< [rows, in], where they do not
  /// Of the codes: [groups, rows], where each token is one group, or has several.
  const matrix<simd::grid>& grids = work_.grids;
  /// Sums of the codes in each part of a product (quant::product_part), [parts, rows]. Only products with weights of
  /// 8 bits need them, and those of `few_tokens`.
  const matrix<std::int32_t>& code_sums = work_.code_sums;
  /// Sums of what the codes in each part stand for, [rows, parts], for weights with minima: as they are stored, where
  /// a scheme stores them.
  const matrix<float>& part_sums = work_.part_sums;
  /// Sums of the values in each group of weights, [groups, rows], for `few_tokens` and quantized weights.
  const matrix<float>& value_sums = work_.value_sums;

  /// `x` is [rows, in] and must outlive this.
  template <class Pass>
  linear_input(const Pass& pass, matrix_view<const float> x, const smoothing& by)
      : work_(pass.work.input), original(x), values(x) {
    by.scales(pass.lanes, work_.scales);
    by.shifts(pass.lanes, work_.shifts);
    work_.inverse = work_.scales;
    for (float& s : work_.inverse.flat()) s = 1.0f / s;
    if constexpr (Scheme::quantizes_activations)
      quantize(pass, x);
    else if (by.active())
      smooth(pass, x);
    if constexpr (Scheme::quantizes_weights && !Scheme::quantizes_activations)
      if (pass.tokens() <= few_tokens) sum_values();
  }

  /// An input to which nothing is done, for weights in floats. `none` are buffers that nobody fills.
  linear_input(matrix_view<const float> x, input_buffers& none)
    requires(!Scheme::quantizes_weights && !Scheme::quantizes_activations)
      : work_(none), original(x), values(x) {}

  /// What the codes of a row stand for, out [in]. For schemes that quantize activations.
  template <simd::kernels Kernels>
  void dequantize(std::size_t row, float* out) const {
    quant::for_each_group<typename Scheme::activation_type>(
        codes.cols(), [&](std::size_t group, std::size_t first, std::size_t count) {
          Kernels::dequantize(codes.row(row).data() + first, count, grids(group, row), out + first);
        });
  }

 private:
  /// (x − δ) / s from channel `first` on, as a kernel's row.
  [[nodiscard]] simd::weight_row smoothed_row(matrix_view<const float> x, std::size_t row, std::size_t lane,
                                              std::size_t first = 0) const {
    return {x.row(row).data() + first, shifts.empty() ? nullptr : shifts.row(lane).data() + first, -1.0f,
            scales.empty() ? nullptr : work_.inverse.row(lane).data() + first};
  }
  template <class Pass>
  void smooth(const Pass& pass, matrix_view<const float> x) {
    work_.smoothed.reshape(x.rows(), x.cols());
    values = work_.smoothed;
    pass.for_each_row([&](std::size_t row) {
      Pass::kernels::materialize(smoothed_row(x, row, row / pass.tokens()), x.cols(), work_.smoothed.row(row).data());
    });
  }
  template <class Pass>
  void quantize(const Pass& pass, matrix_view<const float> x) {
    using kernels = typename Pass::kernels;
    using weight = typename Scheme::weight_type;
    using activation = typename Scheme::activation_type;
    const bool needs_sums = weight::bits == 8 || pass.tokens() <= few_tokens;
    // Rows a multiple of 4 KiB apart would fall on the same few lines of a cache: an odd number of lines does not.
    const std::size_t lines = (x.cols() + alignment - 1) / alignment;
    work_.codes.reshape(x.rows(), (lines | 1) * alignment);
    work_.grids.reshape(activation::groups(x.cols()), x.rows());
    if (needs_sums) work_.code_sums.reshape(quant::parts<weight, activation>(x.cols()), x.rows());
    if constexpr (weight::has_minima) work_.part_sums.reshape(x.rows(), quant::parts<weight, activation>(x.cols()));
    codes = work_.codes.view().col_block(0, x.cols());
    pass.for_each_row([&](std::size_t row) {
      std::uint8_t* const to = work_.codes.row(row).data();
      quant::for_each_group<activation>(x.cols(), [&](std::size_t group, std::size_t first, std::size_t count) {
        quantize_group<kernels>(smoothed_row(x, row, row / pass.tokens(), first), row, group, count, to + first);
      });
      if (needs_sums)
        quant::for_each_part<weight, activation>(x.cols(), [&](const quant::product_part& part) {
          work_.code_sums(part.index, row) = kernels::sum(to + part.first, part.count);
        });
      if constexpr (weight::has_minima && !activation::stores_sums)
        quant::for_each_part<weight, activation>(x.cols(), [&](const quant::product_part& part) {
          const simd::grid& g = work_.grids(part.inputs, row);
          work_.part_sums(row, part.index) =
              g.scale * static_cast<float>(centered_sum<kernels>(g, part.count, to + part.first));
        });
    });
  }
  template <class Kernels>
  void quantize_group(const simd::weight_row& smoothed, std::size_t row, std::size_t group, std::size_t count,
                      std::uint8_t* to) {
    using activation = typename Scheme::activation_type;
    const simd::range range = Kernels::min_max(smoothed, count);
    const simd::code_range of_group = quant::codes_of<activation>(range);
    Kernels::quantize(smoothed, count, of_group, to);
    work_.grids(group, row) = of_group.grid;
    if constexpr (activation::stores_sums)  // its groups are the parts
      work_.part_sums(row, group) =
          quant::stored_sum<activation>(range, centered_sum<Kernels>(of_group.grid, count, to));
  }
  /// Σ (code − zero point).
  template <class Kernels>
  [[nodiscard]] static std::int32_t centered_sum(const simd::grid& g, std::size_t count,
                                                 const std::uint8_t* codes) noexcept {
    return Kernels::sum(codes, count) - static_cast<std::int32_t>(count) * g.zero_point;
  }
  void sum_values() {
    work_.value_sums.reshape(Scheme::weight_type::groups(values.cols()), values.rows());
    for (std::size_t row = 0; row != values.rows(); ++row)
      quant::for_each_group<typename Scheme::weight_type>(
          values.cols(), [&](std::size_t group, std::size_t first, std::size_t count) {
            const std::span<const float> part = values.row(row).subspan(first, count);
            work_.value_sums(group, row) = static_cast<float>(std::accumulate(part.begin(), part.end(), 0.0));
          });
  }
};

}  // namespace zoqat::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/quant/packed_matrix.hpp>
#include <zoqat/quant/row.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::quant {

namespace detail {

/// What a packed matrix gives back of a grid.
template <class Weight>
[[nodiscard]] simd::grid as_stored(const simd::grid& g) noexcept {
  simd::grid stored{static_cast<float>(stored_scale<Weight>(g.scale)),
                    Weight::symmetric ? 1 << (Weight::bits - 1) : static_cast<std::uint8_t>(g.zero_point)};
  if constexpr (Weight::has_minima) stored.minimum = static_cast<float>(stored_minimum<Weight>(g.minimum));
  return stored;
}

}  // namespace detail

/// Rounds weights [out, in] to the grids of a scheme: `out`, of the same shape, takes what the codes stand for, the
/// bits of dequantize(quantize<Weight>(weights, clipping)) without the packing. `out` may be `weights` itself, row
/// for row; otherwise the two may not overlap. For a host whose forward pass reads floats: quantize into its buffer
/// before each loss. Throws value_error for other shapes, another number of clipping parameters (see `quantize`),
/// weights that are not finite (rows before them are written then) and overlapping rows. Cost: the rows are read
/// three times and written once, in the first level of the cache.
template <class Weight, simd::kernels Kernels = simd::default_kernels, class Executor = sequential>
  requires executor<std::remove_cvref_t<Executor>>
void fake_quantize(matrix_view<const float> weights, matrix_view<float> out, std::span<const float> clipping = {},
                   Executor&& threads = {}) {
  require(weights.rows() == out.rows() && weights.cols() == out.cols(),
          "fake_quantize: weights [{}, {}] do not fit an output [{}, {}]", weights.rows(), weights.cols(), out.rows(),
          out.cols());
  detail::require_clipping<Weight>("fake_quantize", weights, clipping);
  detail::require_apart_or_same("fake_quantize", weights, out);
  if (weights.empty()) return;
  code_grid whole;
  if constexpr (Weight::whole_tensor) whole = detail::whole_tensor_grid<Weight, Kernels>(weights, clipping.data());
  const std::size_t groups = Weight::whole_tensor ? 0 : Weight::groups(weights.cols());
  const std::size_t rows_of_task = std::max<std::size_t>(1, 65536 / weights.cols());
  threads.parallel_for((weights.rows() + rows_of_task - 1) / rows_of_task, [&](std::size_t task) {
    buffer<std::uint8_t> codes(Weight::shares_scales ? weights.cols() : Weight::group_size(weights.cols()));
    const std::size_t end = std::min((task + 1) * rows_of_task, weights.rows());
    [[maybe_unused]] std::vector<simd::grid> grids(groups);
    for (std::size_t r = task * rows_of_task; r != end; ++r) {
      const auto from = weights.row(r);
      detail::require_finite_row<Kernels>("fake_quantize", r, from);
      if constexpr (Weight::shares_scales) {
        quantize_row<Weight, Kernels>(from, clipping.data() + r * groups * Weight::clipping::parameters, codes.data(),
                                      grids.data());
        dequantize_row<Weight, Kernels>(codes, grids.data(), out.row(r).data());
        continue;
      }
      for_each_group<Weight>(from.size(), [&](std::size_t group, std::size_t first, std::size_t count) {
        const auto part = from.subspan(first, count);
        code_grid g = whole;
        if constexpr (!Weight::whole_tensor)
          g = grid_of<Weight>(Kernels::min_max(part.data(), count),
                              clipping.data() + (r * groups + group) * Weight::clipping::parameters);
        quantize_on<Weight, Kernels>(part, g, codes.data());
        Kernels::dequantize(codes.data(), count, detail::as_stored<Weight>(g.grid), out.row(r).data() + first);
      });
    }
  });
}

/// The same in place.
template <class Weight, simd::kernels Kernels = simd::default_kernels, class Executor = sequential>
  requires executor<std::remove_cvref_t<Executor>>
void fake_quantize(matrix_view<float> weights, std::span<const float> clipping = {}, Executor&& threads = {}) {
  fake_quantize<Weight, Kernels>(matrix_view<const float>(weights), weights, clipping, threads);
}

}  // namespace zoqat::quant

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/ptq/input_moments.hpp>
#include <zoqat/ptq/row_rounding.hpp>
#include <zoqat/quant/packed_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// A matrix whose codes and grids were found for the outputs that they give.
template <class Weight>
struct reconstructed_matrix {
  quant::packed_matrix<Weight> packed;  ///< codes and grids: packed.codes(row, …), packed.grid(row, group)
  matrix<float> values;                 ///< what they stand for: [out, in]
  double error = 0;                     ///< E |(weights − values) x|², over all outputs
};

/// Quantizes a host's matrix [out, in] so that its outputs change least over inputs with the given second moments
/// E[x xᵀ] [in, in] (see `input_moments`): for each output channel, codes, step sizes and ranges by `row_rounding`
/// (GPTQ, arXiv 2210.17323, and coordinate descent from there), where rounding to nearest looks at each weight alone.
/// A host needs nothing else: gather the moments in a forward pass over some thousand tokens, call this for each
/// matrix, and read `values` or deploy `packed`.
///
/// `damping` is added to the diagonal of the moments, relative to its mean. The same result for any number of
/// threads. Throws value_error for shapes that do not fit, weights or moments that are not finite, and moments that
/// are singular in spite of the damping. Cost: in³ operations, and 75 in · group_size + 30 in² for each output
/// channel, all in double.
template <class Weight, simd::kernels Kernels = simd::default_kernels, class Executor = sequential>
  requires executor<std::remove_cvref_t<Executor>>
[[nodiscard]] reconstructed_matrix<Weight> reconstruct_matrix(matrix_view<const float> weights,
                                                              matrix<double> moments, Executor&& threads = {},
                                                              double damping = default_damping<Weight>) {
  static_assert(!Weight::whole_tensor,
                "ptq::reconstruct_matrix: rows are found one by one: give quant::weight a granularity other than "
                "per_tensor");
  const std::size_t out = weights.rows(), in = weights.cols();
  require(moments.rows() == in && moments.cols() == in,
          "reconstruct_matrix: weights [{}, {}] have moments [{}, {}], but [{}, {}] were expected", out, in,
          moments.rows(), moments.cols(), in, in);
  for (std::size_t r = 0; r != out; ++r)
    for (std::size_t k = 0; k != in; ++k)
      require(std::isfinite(weights(r, k)), "reconstruct_matrix: weight ({}, {}) is {}", r, k, weights(r, k));
  for (std::size_t i = 0; i != in; ++i)
    for (std::size_t j = 0; j != in; ++j)
      require(std::isfinite(moments(i, j)), "reconstruct_matrix: moment ({}, {}) is {}", i, j, moments(i, j));
  reconstructed_matrix<Weight> result{quant::packed_matrix<Weight>(out, in), matrix<float>(out, in), 0};
  if (weights.empty()) return result;

  const matrix<double> undamped = moments;
  const input_metric metric(std::move(moments), damping);
  const std::size_t groups = Weight::groups(in), panels = result.packed.panels();
  std::vector<double> errors(panels);
  threads.parallel_for(panels, [&](std::size_t panel) {
    const std::size_t first = panel * simd::panel_width, count = std::min(simd::panel_width, out - first);
    matrix<std::uint8_t> codes(count, in);
    std::vector<simd::grid> grids;
    for (std::size_t r = 0; r != count; ++r) {
      const auto row = weights.row(first + r);
      const std::vector<double> exact(row.begin(), row.end());
      const rounded_row found = row_rounding<Weight>(metric, exact)();
      std::ranges::copy(found.codes, codes.row(r).begin());
      grids.insert(grids.end(), found.grids.begin(), found.grids.end());
      quant::dequantize_row<Weight, Kernels>(codes.row(r), grids.data() + r * groups,
                                             result.values.row(first + r).data());
      for (std::size_t i = 0; i != in; ++i) {
        const auto off = [&](std::size_t k) { return exact[k] - static_cast<double>(result.values(first + r, k)); };
        double slope = 0;
        for (std::size_t j = 0; j != in; ++j) slope += undamped(i, j) * off(j);
        errors[panel] += off(i) * slope;
      }
    }
    result.packed.template set_rows<Kernels>(first, codes, grids.data());
  });
  for (const double e : errors) result.error += e;
  return result;
}

/// The same with moments that were gathered.
template <class Weight, simd::kernels Kernels = simd::default_kernels, class Executor = sequential>
  requires executor<std::remove_cvref_t<Executor>>
[[nodiscard]] reconstructed_matrix<Weight> reconstruct_matrix(matrix_view<const float> weights,
                                                              const input_moments& moments, Executor&& threads = {},
                                                              double damping = default_damping<Weight>) {
  return reconstruct_matrix<Weight, Kernels>(weights, moments.mean(), threads, damping);
}

}  // namespace zoqat::ptq

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// sums [p, q] += aᵀ b, for a [n, p] and b [n, q]: the moments of calibration data. Products of a few hundred rows
/// are in float, their sums in double, so that the number of tokens costs no precision. 2 n p q operations. Throws
/// value_error for shapes that do not fit.
template <simd::kernels Kernels = simd::default_kernels, executor Executor>
void add_moments(matrix_view<const float> a, matrix_view<const float> b, matrix<double>& sums, Executor& threads) {
  require(a.rows() == b.rows() && sums.rows() == a.cols() && sums.cols() == b.cols(),
          "add_moments: a [{}, {}] and b [{}, {}] do not fit sums [{}, {}]", a.rows(), a.cols(), b.rows(), b.cols(),
          sums.rows(), sums.cols());
  constexpr std::size_t width = simd::panel_width, depth = 256;
  matrix<float> transposed(a.cols(), depth);
  for (std::size_t first = 0; first < a.rows(); first += depth) {
    const std::size_t count = std::min(depth, a.rows() - first);
    for (std::size_t i = 0; i != count; ++i)
      for (std::size_t p = 0; p != a.cols(); ++p) transposed(p, i) = a(first + i, p);
    threads.parallel_for((b.cols() + width - 1) / width, [&](std::size_t tile) {
      const std::size_t column = tile * width, columns = std::min(width, b.cols() - column);
      buffer<float> panel(simd::float_panel_size(count), 0.0f);
      for (std::size_t i = 0; i != count; ++i)
        std::copy_n(b.row(first + i).data() + column, columns, panel.data() + i * width);
      matrix<float> product(a.cols(), columns);
      Kernels::gemm(transposed.view().col_block(0, count), panel.data(), nullptr, false, product);
      for (std::size_t p = 0; p != a.cols(); ++p)
        for (std::size_t q = 0; q != columns; ++q) sums(p, column + q) += static_cast<double>(product(p, q));
    });
  }
}

}  // namespace zoqat::ptq

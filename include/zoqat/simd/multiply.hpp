// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::simd {

/// out [n, m] = x [n, k] · wᵀ for w [m, k] in floats, by one thread; for matrices that are multiplied once, since w
/// is packed here.
template <kernels Kernels>
void multiply(matrix_view<const float> x, matrix_view<const float> w, matrix_view<float> out) {
  thread_local buffer<float> panel;
  panel.resize(float_panel_size(x.cols()));
  for (std::size_t first = 0; first < w.rows(); first += panel_width) {
    const std::size_t count = std::min(panel_width, w.rows() - first);
    Kernels::pack_panel(w.row_block(first, count), panel.data());
    Kernels::gemm(x, panel.data(), nullptr, false, out.col_block(first, count));
  }
}

}  // namespace zoqat::simd

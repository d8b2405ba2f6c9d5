// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/tile_rows.hpp>
#include <zoqat/nn/linear/weight_tile.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::nn {

/// A tile of `count` rows of weights [count, in] in floats on each lane, between what they are made of and a product.
/// Scratch of a thread, kept from tile to tile.
class float_tile : public detail::tile_scratch {
 public:
  void reset(std::size_t lanes, std::size_t count, std::size_t in) {
    count_ = count, in_ = in;
    values_.resize(lanes * count * in);
  }
  /// A row on a lane.
  [[nodiscard]] float* row(std::size_t lane, std::size_t r) noexcept {
    return values_.data() + (lane * count_ + r) * in_;
  }
  /// out [rows, count] = x · tile, and the epilogue, on one lane, where x [rows, in] are values of a lane of
  /// `tokens`.
  template <class Kernels>
  void multiply(matrix_view<const float> x, std::size_t tokens, std::size_t lane, epilogue finish,
                matrix_view<float> out) {
    const matrix_view<const float> rows(row(lane, 0), count_, in_);
    if (tokens <= few_tokens) {
      for (std::size_t m = 0; m != out.rows(); ++m)
        for (std::size_t j = 0; j != out.cols(); ++j)
          out(m, j) = finish.of(out, m, j) + Kernels::dot(x.row(m).data(), rows.row(j).data(), in_);
      return;
    }
    const std::size_t panels = (count_ + simd::panel_width - 1) / simd::panel_width;
    panels_.resize(panels * simd::float_panel_size(in_));
    for (std::size_t p = 0; p != panels; ++p) {
      const std::size_t first = p * simd::panel_width;
      Kernels::pack_panel(rows.row_block(first, std::min(simd::panel_width, count_ - first)),
                          panels_.data() + p * simd::float_panel_size(in_));
    }
    Kernels::gemm(x, panels_.data(), finish.bias, finish.accumulate, out);
  }

 private:
  std::size_t count_ = 0, in_ = 0;
  buffer<float> values_;  // [lanes][count][in]
  buffer<float> panels_;
};

}  // namespace zoqat::nn

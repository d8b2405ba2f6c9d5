// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace zoqat::nn {

/// Causal attention of the query heads that share one key and value head, for one sequence.
///   query  [tokens, heads * head_size], mixed likewise: the heads of the group side by side
///   keys, values [past + tokens, head_size]; token i sees the first past + i + 1 of them
/// Queries go in blocks: the scores of a block, [block, keys], are all that is ever held, and blocks stop at the
/// diagonal, so half of the square is never computed.
template <simd::kernels Kernels>
class grouped_attention {
 public:
  /// Lays out the keys and values once for all heads of the group.
  grouped_attention(matrix_view<const float> keys, matrix_view<const float> values)
      : size_(keys.cols()), count_(keys.rows()) {
    key_panels_.resize(panels(count_) * simd::float_panel_size(size_));
    for (std::size_t p = 0; p != panels(count_); ++p)
      Kernels::pack_panel(keys.row_block(p * width, std::min(width, count_ - p * width)), key_panel(p));
    value_panels_.assign(panels(size_) * simd::float_panel_size(count_), 0.0f);
    for (std::size_t p = 0; p != panels(size_); ++p)
      for (std::size_t k = 0; k != count_; ++k)
        std::copy_n(values.row(k).data() + p * width, std::min(width, size_ - p * width), value_panel(p) + k * width);
  }

  void operator()(matrix_view<const float> query, matrix_view<float> mixed) {
    const std::size_t past = count_ - query.rows();
    for (std::size_t head = 0; head != query.cols() / size_; ++head)
      for (std::size_t first = 0; first < query.rows(); first += block) {
        const std::size_t rows = std::min(block, query.rows() - first);
        attend(query.col_block(head * size_, size_).row_block(first, rows), past + first,
               mixed.col_block(head * size_, size_).row_block(first, rows));
      }
  }

 private:
  static constexpr std::size_t width = simd::panel_width, block = 64;
  static constexpr std::size_t panels(std::size_t n) { return (n + width - 1) / width; }
  float* key_panel(std::size_t p) { return key_panels_.data() + p * simd::float_panel_size(size_); }
  float* value_panel(std::size_t p) { return value_panels_.data() + p * simd::float_panel_size(count_); }

  /// A block of queries, the first at position `first`.
  void attend(matrix_view<const float> query, std::size_t first, matrix_view<float> mixed) {
    const std::size_t seen = first + query.rows();
    scores_.resize(query.rows() * panels(seen) * width);
    const matrix_view<float> scores(scores_.data(), query.rows(), seen, panels(seen) * width);
    for (std::size_t p = 0; p != panels(seen); ++p)
      Kernels::gemm_panel(query, key_panel(p), nullptr, false,
                          scores.col_block(p * width, std::min(width, seen - p * width)));
    const float scale = 1.0f / std::sqrt(static_cast<float>(size_));
    for (std::size_t i = 0; i != query.rows(); ++i) {
      const auto row = scores.row(i);
      const std::size_t visible = first + i + 1;
      for (std::size_t k = 0; k != visible; ++k) row[k] *= scale;
      Kernels::softmax(row.data(), visible);
      std::fill(row.begin() + static_cast<std::ptrdiff_t>(visible), row.end(), 0.0f);
    }
    for (std::size_t p = 0; p != panels(size_); ++p)
      Kernels::gemm_panel(scores, value_panel(p), nullptr, false,
                          mixed.col_block(p * width, std::min(width, size_ - p * width)));
  }

  std::size_t size_, count_;
  buffer<float> key_panels_, value_panels_, scores_;
};

}  // namespace zoqat::nn

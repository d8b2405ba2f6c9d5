// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::nn {

namespace detail {

/// Buffers of an attention task; one set per thread, kept between tasks.
struct attention_scratch {
  buffer<float> keys, values, scores;

  static attention_scratch& of_this_thread() {
    thread_local attention_scratch scratch;
    return scratch;
  }
};

/// Attention of many queries. Keys and values are laid out in panels once for all the heads of a group. Queries go in
/// blocks that end where blocks of keys do: the scores of a block, [block, keys seen], are all that is ever held, and
/// of the square above the diagonal only the corners of the blocks on it are computed.
template <simd::kernels Kernels>
class blocked_attention {
 public:
  blocked_attention(matrix_view<const float> keys, matrix_view<const float> values, attention_scratch& scratch)
      : size_(keys.cols()), count_(keys.rows()), scratch_(scratch) {
    scratch_.keys.resize(panels(count_) * simd::float_panel_size(size_));
    scratch_.values.resize(panels(size_) * simd::float_panel_size(count_));
    for (std::size_t first = 0; first < count_; first += width)
      Kernels::pack_panel(keys.row_block(first, std::min(width, count_ - first)),
                          scratch_.keys.data() + first * size_);
    // Here the factor of the scores costs one product for each key's element, not for each score.
    const float factor = 1.0f / std::sqrt(static_cast<float>(size_));
    for (float& x : scratch_.keys) x *= factor;
    for (std::size_t first = 0; first < size_; first += width)
      pack_columns(values.col_block(first, std::min(width, size_ - first)), scratch_.values.data() + first * count_);
  }

  /// One head: query and mixed [tokens, head_size].
  void operator()(matrix_view<const float> query, matrix_view<float> mixed) {
    const std::size_t past = count_ - query.rows();
    for (std::size_t first = 0, rows; first != query.rows(); first += rows) {
      rows = std::min(block - (past + first) % block, query.rows() - first);
      attend(query.row_block(first, rows), past + first, mixed.row_block(first, rows));
    }
  }

 private:
  static constexpr std::size_t width = simd::panel_width;
  static constexpr std::size_t block = 48;  ///< queries: whole tiles of a product on every target
  static_assert(block % width == 0);

  static constexpr std::size_t panels(std::size_t n) { return (n + width - 1) / width; }
  /// The panel of the transpose of x, [n, at most 16].
  static void pack_columns(matrix_view<const float> x, float* panel) {
    if (x.cols() == width) {  // sizes known when compiled: no calls
      for (std::size_t k = 0; k != x.rows(); ++k, panel += width) std::copy_n(x.row(k).data(), width, panel);
      return;
    }
    for (std::size_t k = 0; k != x.rows(); ++k, panel += width)
      std::fill(std::copy(x.row(k).begin(), x.row(k).end(), panel), panel + width, 0.0f);
  }

  /// A block of queries, the first at position `first`.
  void attend(matrix_view<const float> query, std::size_t first, matrix_view<float> mixed) {
    const std::size_t seen = first + query.rows(), columns = panels(seen) * width;
    scratch_.scores.resize(std::max(scratch_.scores.size(), query.rows() * columns));
    const matrix_view<float> scores(scratch_.scores.data(), query.rows(), columns);
    Kernels::gemm(query, scratch_.keys.data(), nullptr, false, scores);
    for (std::size_t i = 0; i != query.rows(); ++i) {
      const std::span<float> row = scores.row(i), hidden = row.subspan(first + i + 1);
      Kernels::softmax(row.data(), row.size() - hidden.size());
      std::ranges::fill(hidden, 0.0f);
    }
    Kernels::gemm(scores.col_block(0, seen), scratch_.values.data(), nullptr, false, mixed, count_);
  }

  std::size_t size_, count_;
  attention_scratch& scratch_;
};

/// Attention of one query with keys and values as they lie: query and mixed [head_size].
template <simd::kernels Kernels>
void attend_one(const float* query, matrix_view<const float> keys, matrix_view<const float> values, float* mixed,
                buffer<float>& scores) {
  const std::size_t size = keys.cols();
  const float factor = 1.0f / std::sqrt(static_cast<float>(size));
  scores.resize(keys.rows());
  for (std::size_t k = 0; k != keys.rows(); ++k) scores[k] = factor * Kernels::dot(query, keys.row(k).data(), size);
  Kernels::softmax(scores.data(), keys.rows());
  std::fill_n(mixed, size, 0.0f);
  for (std::size_t k = 0; k != keys.rows(); ++k)
    Kernels::add_scaled(mixed, values.row(k).data(), scores[k], mixed, size);
}

}  // namespace detail

/// Causal attention of the query heads that share one key and value head, for one sequence:
/// softmax(q kᵀ / √head_size) v.
///   query  [tokens, heads * head_size], mixed likewise: the heads of the group side by side
///   keys, values [past + tokens, head_size]; token i sees the first past + i + 1 of them
/// Cost for each head: tokens · (past + tokens / 2) exponentials, and 2 head_size multiply-adds for each of them. A
/// single query, as generation has, reads keys and values as they lie.
template <simd::kernels Kernels>
void attend(matrix_view<const float> query, matrix_view<const float> keys, matrix_view<const float> values,
            matrix_view<float> mixed) {
  if (query.rows() == 0) return;
  const std::size_t size = keys.cols();
  auto& scratch = detail::attention_scratch::of_this_thread();
  if (query.rows() == 1) {
    for (std::size_t head = 0; head < query.cols(); head += size)
      detail::attend_one<Kernels>(query.row(0).data() + head, keys, values, mixed.row(0).data() + head,
                                  scratch.scores);
    return;
  }
  detail::blocked_attention<Kernels> attention(keys, values, scratch);
  for (std::size_t head = 0; head < query.cols(); head += size)
    attention(query.col_block(head, size), mixed.col_block(head, size));
}

}  // namespace zoqat::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/params/master_rows.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::nn {

/// Words in a slice of the vocabulary: the unit in which logits are made, reduced and forgotten.
inline constexpr std::size_t vocabulary_slice = 1024;

[[nodiscard]] constexpr std::size_t vocabulary_slices(std::size_t vocabulary) noexcept {
  return (vocabulary + vocabulary_slice - 1) / vocabulary_slice;
}

/// The logits of some rows over one slice of the vocabulary.
struct logit_tile {
  std::size_t first_row;      ///< its first row, of those asked for
  std::size_t slice;          ///< of the vocabulary
  std::size_t first_word;     ///< of the slice
  matrix_view<float> logits;  ///< [rows, words]; whoever receives it may overwrite it
};

namespace detail {

/// out [rows, words] = x [rows, hidden] · headᵀ over the words of the head [vocabulary, hidden] from `first` on. For
/// few rows the head is streamed once, unpacked. For more rows, blocks of the vocabulary are packed into panels and
/// the rows are processed in blocks, so that both fit in a second-level cache of 1 MiB; otherwise all rows of x would
/// be read from memory again for each panel.
template <simd::kernels Kernels>
void slice_logits(matrix_view<const float> x, const master_rows& head, std::size_t first, matrix_view<float> out) {
  thread_local buffer<float> panels, room;
  constexpr std::size_t few_rows = 10, width = simd::panel_width, cached_words = 1 << 17, cached_rows = 1 << 16;
  if (x.rows() < few_rows) {
    for (std::size_t word = 0; word != out.cols(); ++word) {
      const auto row = head.read<Kernels>(first + word, 1, room);
      for (std::size_t i = 0; i != x.rows(); ++i) out(i, word) = Kernels::dot(x.row(i).data(), row.data(), x.cols());
    }
    return;
  }
  const std::size_t depth = std::max<std::size_t>(1, x.cols()), size = simd::float_panel_size(x.cols());
  // Products go by two panels, and by 24 rows or a divisor of it.
  const std::size_t words = std::max<std::size_t>(1, cached_words / depth / (2 * width)) * 2 * width;
  const std::size_t rows = std::max<std::size_t>(1, cached_rows / depth / 24) * 24;
  panels.resize(words / width * size);
  for (std::size_t word = 0; word < out.cols(); word += words) {
    const std::size_t group = std::min(words, out.cols() - word);
    for (std::size_t at = 0; at < group; at += width)
      Kernels::pack_panel(head.read<Kernels>(first + word + at, std::min(width, group - at), room),
                          panels.data() + at / width * size);
    for (std::size_t row = 0; row < x.rows(); row += rows) {
      const std::size_t count = std::min(rows, x.rows() - row);
      Kernels::gemm(x.row_block(row, count), panels.data(), nullptr, false,
                    out.row_block(row, count).col_block(word, group));
    }
  }
}

/// Calls f(tile, rows, words) for the tiles of [rows, vocabulary], in parallel; their logits are not set yet. How
/// they are cut follows from the sizes alone, and no tile has rows of two lanes.
template <executor Executor, class F>
void for_each_tile(Executor& threads, std::size_t lanes, std::size_t rows, std::size_t vocabulary, F&& f) {
  constexpr std::size_t most_rows = 512;
  const std::size_t of_lane = lanes == 0 ? 0 : rows / lanes, blocks = (of_lane + most_rows - 1) / most_rows;
  threads.parallel_for(lanes * blocks * vocabulary_slices(vocabulary), [&](std::size_t task) {
    const std::size_t lane = task % lanes, block = task / lanes % blocks, slice = task / lanes / blocks;
    const std::size_t first = of_lane * block / blocks, last = of_lane * (block + 1) / blocks;
    const std::size_t word = slice * vocabulary_slice;
    f(logit_tile{lane * of_lane + first, slice, word, {}}, last - first,
      std::min(vocabulary_slice, vocabulary - word));
  });
}

}  // namespace detail

/// Calls f(tile) for tiles that cover the logits x · headᵀ once, in parallel: x [rows, hidden], as many rows of each
/// lane after another, head [vocabulary, hidden] in any format of masters. A thread holds the logits of one tile at a
/// time, so memory does not follow rows times vocabulary. A lane's logits are the same bits whichever other lanes
/// there are.
template <simd::kernels Kernels, executor Executor, class F>
void for_each_logit_tile(Executor& threads, std::size_t lanes, matrix_view<const float> x, const master_rows& head,
                         F&& f) {
  detail::for_each_tile(
      threads, lanes, x.rows(), head.rows(), [&](logit_tile tile, std::size_t rows, std::size_t words) {
        thread_local buffer<float> logits;
        logits.resize(std::max(logits.size(), rows * words));
        tile.logits = {logits.data(), rows, words};
        detail::slice_logits<Kernels>(x.row_block(tile.first_row, rows), head, tile.first_word, tile.logits);
        f(tile);
      });
}

/// All of them at once, the same bits: out [rows, vocabulary].
template <simd::kernels Kernels, executor Executor>
void all_logits(Executor& threads, std::size_t lanes, matrix_view<const float> x, const master_rows& head,
                matrix_view<float> out) {
  detail::for_each_tile(
      threads, lanes, x.rows(), head.rows(), [&](const logit_tile& tile, std::size_t rows, std::size_t words) {
        detail::slice_logits<Kernels>(x.row_block(tile.first_row, rows), head, tile.first_word,
                                      out.row_block(tile.first_row, rows).col_block(tile.first_word, words));
      });
}

}  // namespace zoqat::nn

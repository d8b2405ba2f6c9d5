// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/weight_tile.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI::nn::detail {

/// What a thread keeps from tile to tile, whatever the weights are made of.
struct tile_scratch {
  sweep_scratch sweep;
  buffer<float> bias;  ///< [lanes][count]
  buffer<float> row;   ///< [in]
};

template <class Scratch>
[[nodiscard]] Scratch& scratch_of_this_thread() {
  thread_local Scratch scratch;
  return scratch;
}

[[nodiscard]] constexpr std::size_t tiles_in(std::size_t rows) noexcept {
  return (rows + tile_width - 1) / tile_width;
}
/// Calls f(first, count) for the tiles of a matrix of `rows` rows.
template <class Executor, class F>
void for_each_weight_tile(Executor&& threads, std::size_t rows, F&& f) {
  threads.parallel_for(tiles_in(rows), [&](std::size_t tile) {
    const std::size_t first = tile * tile_width;
    f(first, std::min(tile_width, rows - first));
  });
}

/// The smoothed row of a lane.
[[nodiscard]] inline simd::weight_row smoothed_row(const lane_values& v, const matrix<float>& scales,
                                                   std::size_t lane) noexcept {
  return {v.values, v.direction, v.scale, scales.empty() ? nullptr : scales.row(lane).data(), v.signs};
}
/// A row from its element `k` on.
[[nodiscard]] inline simd::weight_row subrow(const simd::weight_row& row, std::size_t k) noexcept {
  return {row.values + k, row.direction ? row.direction + k : nullptr, row.scale,
          row.smoothing ? row.smoothing + k : nullptr, row.signs.from(k)};
}

/// Calls f(r, lane, values before smoothing) for rows [from, to) of the tile of `count` rows of `masters` that begins
/// at row `first`, one or two lanes at a time, and adds δW to the bias in the scratch: B̃ = B + δW.
template <class Kernels, lane_reader Lanes, class F>
void sweep_tile(const trainable& masters, const Lanes& lanes, const matrix<float>& shifts, std::size_t first,
                std::size_t from, std::size_t to, std::size_t count, tile_scratch& scratch, F&& f) {
  const auto shifted = [&](const lane_values& values, std::span<const float> shift) {
    scratch.row.resize(masters.cols());
    Kernels::materialize(smoothed_row(values, {}, 0), masters.cols(), scratch.row.data());
    return Kernels::dot(shift.data(), scratch.row.data(), masters.cols());
  };
  lanes.sweep_rows(masters.view(), first + from, to - from, scratch.sweep,
                   [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
                     if (!shifts.empty())
                       for (std::size_t i = 0; i != values.size(); ++i)
                         scratch.bias[(lane + i) * count + from + r] += shifted(values[i], shifts.row(lane + i));
                     f(from + r, lane, values);
                   });
}

}  // namespace zoqat::nn::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/tile_rows.hpp>
#include <zoqat/nn/linear/weight_tile.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cstddef>
#include <ranges>

namespace zoqat::inline ZOQAT_ABI::nn::detail {

/// Lets the outputs start from the biases of `lanes` lanes, [lanes, out.cols()]: through the product where one bias
/// serves all rows, else here.
template <class Kernels>
[[nodiscard]] epilogue add_bias(const float* bias, std::size_t lanes, bool accumulate, matrix_view<float> out) {
  const std::size_t n = out.cols(), tokens = out.rows() / lanes;
  const auto same = [&](std::size_t lane) { return std::equal(bias, bias + n, bias + lane * n); };
  if (std::ranges::all_of(std::views::iota(std::size_t{1}, lanes), same)) return {bias, accumulate};
  for (std::size_t m = 0; m != out.rows(); ++m) {
    const float* const of_lane = bias + m / tokens * n;
    if (accumulate)
      Kernels::add(of_lane, out.row(m).data(), n);
    else
      std::copy_n(of_lane, n, out.row(m).data());
  }
  return {nullptr, true};
}

/// The share of some memory that falls to the product of lanes [lane, lane + sharing) of `lanes`.
[[nodiscard]] inline simd::prefetch_hint share_of(simd::prefetch_hint all, std::size_t lane, std::size_t lanes,
                                                  std::size_t sharing) noexcept {
  const std::size_t from = all.bytes * lane / lanes, to = all.bytes * (lane + sharing) / lanes;
  return {static_cast<const char*>(all.data) + from, to - from};
}

/// Whether one product serves all lanes: the weights are the same on each.
template <class Weight>
[[nodiscard]] bool are_shared_by_lanes(const Weight& weight) noexcept {
  if constexpr (requires { weight.scaled(); }) return !weight.scaled();
  return Weight::shared_by_lanes;
}

/// out [rows, out] = (accumulate ? out : 0) + X̃ W̃ᵀ + B̃ for weights in one of their states. Each tile of rows is made
/// ready once, in this thread's caches, and multiplied with every lane's input. `bias` may be empty.
template <class Weight, class Pass, class Scheme>
void multiply_tiles(const Weight& weight, const trainable& bias, const Pass& pass, const linear_input<Scheme>& input,
                    matrix_view<float> out, bool accumulate) {
  using kernels = typename Pass::kernels;
  const bool shared = are_shared_by_lanes(weight);
  const std::size_t lanes = pass.lanes.count(), sharing = shared ? lanes : 1;
  const bool biased = !bias.empty() || (!input.shifts.empty() && !Weight::shared_by_lanes);
  const auto grids = weight.template pass_grids<kernels>(pass.lanes, input.scales);
  for_each_weight_tile(pass.threads, out.cols(), [&](std::size_t first, std::size_t count) {
    auto& scratch = scratch_of_this_thread<typename Weight::scratch>();
    scratch.bias.assign(lanes * count, 0);
    if (!bias.empty()) pass.lanes.read(bias.view(), first, count, scratch.bias.data());
    weight.template make_tile<kernels>(pass.lanes, input, grids, first, count, scratch);
    const std::size_t following = first + pass.threads.concurrency() * tile_width;
    const simd::prefetch_hint next = following >= out.cols()
                                         ? simd::prefetch_hint{}
                                         : weight.memory(following, std::min(tile_width, out.cols() - following));
    for (std::size_t lane = 0; lane != lanes; lane += sharing) {
      const std::size_t row = lane * pass.tokens();
      const auto to = out.col_block(first, count).row_block(row, sharing * pass.tokens());
      epilogue finish{nullptr, accumulate};
      if (biased) finish = add_bias<kernels>(scratch.bias.data() + lane * count, sharing, accumulate, to);
      weight.template multiply<kernels>(input, row, pass.tokens(), shared ? 0 : lane, finish, to, scratch,
                                        share_of(next, lane, lanes, sharing));
    }
  });
}

}  // namespace zoqat::nn::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/losses.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo::workers {

/// A run of the losses of a step, which one worker evaluates: those at [begin, end) of micro-batch · lanes + lane.
struct share {
  std::uint32_t begin = 0, end = 0;

  [[nodiscard]] std::size_t size() const noexcept { return end - begin; }
  friend bool operator==(const share&, const share&) = default;
};

/// The share of worker `index` of `workers`: a step is cut as evenly as can be, first between micro-batches and then
/// between directions. `joined` lanes that stand together are not parted (see `joined_lanes`). Where there are more
/// workers than parts, some have none.
[[nodiscard]] constexpr share share_of(std::size_t lanes, std::size_t micro_batches, std::size_t joined,
                                       std::size_t index, std::size_t workers) noexcept {
  const std::uint64_t parts = std::uint64_t{lanes / joined} * micro_batches;
  const auto cut = [&](std::size_t i) { return static_cast<std::uint32_t>(parts * i / workers * joined); };
  return {cut(index), cut(index + 1)};
}

/// Calls f(micro-batch, first lane, lanes) for the runs of lanes that a share takes of each micro-batch, in order.
template <class F>
void for_each_run(const share& of, std::size_t lanes, F&& f) {
  for (std::size_t at = of.begin; at < of.end;) {
    const std::size_t lane = at % lanes, count = std::min<std::size_t>(lanes - lane, of.end - at);
    f(at / lanes, lane, count);
    at += count;
  }
}

/// The losses of a share, in order: the objective is called once for each of its runs. The loss of a lane must not
/// depend on the lanes that are evaluated beside it, which holds for the objectives of this library, bit for bit, but
/// for train::reward_loss.
template <distribution Distribution, objective<Distribution> Objective>
[[nodiscard]] std::vector<double> evaluate_share(Objective& loss, const asked_lanes<Distribution>& asked,
                                                 const share& of) {
  std::vector<double> losses(of.size());
  std::span<double> rest = losses;
  for_each_run(of, asked.size(), [&](std::size_t m, std::size_t first, std::size_t count) {
    loss(asked.lanes().part(first, count), m, rest.first(count));
    rest = rest.subspan(count);
  });
  return losses;
}

/// Tells the losses of a share, in order.
inline void set_share(loss_table& table, const share& of, std::span<const double> losses) {
  for (std::uint32_t at = of.begin; at != of.end; ++at)
    table.set(at % table.lanes(), at / table.lanes(), losses[at - of.begin]);
}

}  // namespace zoqat::zo::workers

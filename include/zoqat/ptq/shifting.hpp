// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/nn/smoothing.hpp>
#include <zoqat/ptq/channel_ranges.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Starts the shift of one input as Outlier Suppression+ does (arXiv 2304.09145): δ = (max + min) / 2 puts
/// zero in the middle of what a channel ranges over. Channels that share a value share their range. What no input was
/// seen of, or what has no middle, stays unshifted.
inline void init_shift(nn::smoothing& smooth, std::span<const channel_range> ranges) {
  const auto shift = smooth.shift().values().flat();
  std::vector<channel_range> shared(shift.size());
  for (std::size_t j = 0; j != smooth.width(); ++j) shared[smooth.source(j)].add(ranges[j]);
  for (std::size_t i = 0; i != shift.size(); ++i) {
    const float middle = shared[i].min / 2 + shared[i].max / 2;  // the sum itself might overflow
    shift[i] = std::isfinite(middle) ? middle : 0.0f;
  }
}

}  // namespace zoqat::ptq

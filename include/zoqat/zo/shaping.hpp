// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <concepts>
#include <span>

namespace zoqat::inline ZOQAT_ABI::zo {

/// What is done to the half differences ("slopes") of a step, averaged over the micro-batches and clipped, before
/// they are an estimate: `shape(slopes, loss_stddev)`, see `measurement::loss_stddev`. The slopes of an update are
/// those of its estimate, so a log replays whatever was done to them.
template <class S>
concept slope_shaping = std::copyable<S> && requires(const S& shape, std::span<float> slopes, float loss_stddev) {
  shape(slopes, loss_stddev);
};

/// Slopes stay as they were measured.
struct as_measured {
  void operator()(std::span<float>, float) const noexcept {}
};

static_assert(slope_shaping<as_measured>);

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/parameter.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>

namespace zoqat {

/// How a forward pass reads trainable tensors when it carries several lanes, each a version of the model at
/// another point of parameter space. `read(p, first, n, out)` writes elements [first, first + n) of every lane:
/// lane l at out[l * n, (l + 1) * n). Called concurrently; the same call gives the same bits.
///
/// This is where a network and a zeroth-order method meet, and neither knows the other: `zo::lanes` perturbs
/// on read, `inference_lane` reads what is there.
template <class L>
concept lane_reader = requires(const L& lanes, const parameter& p, std::size_t first, std::size_t n, float* out) {
  { lanes.count() } -> std::convertible_to<std::size_t>;
  { lanes.read(p, first, n, out) } noexcept;
};

/// One lane at the masters themselves: inference.
struct inference_lane {
  [[nodiscard]] static constexpr std::size_t count() noexcept { return 1; }
  static void read(const parameter& p, std::size_t first, std::size_t n, float* out) noexcept {
    std::copy_n(p.values.data() + first, n, out);
  }
};
static_assert(lane_reader<inference_lane>);

}  // namespace zoqat

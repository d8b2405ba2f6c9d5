// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/params/parameter.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI {

/// The elements of a tensor as one lane sees them: values[i] + scale * u[i], where the product is rounded before the
/// sum. The direction u is taken from `direction` if it is set, else from `signs` if they are set; otherwise the
/// values are unperturbed.
struct lane_values {
  const float* values;
  const float* direction = nullptr;
  float scale = 0;
  packed_signs signs{};
};

/// Memory in which `sweep_rows` keeps the direction of the rows that it visits, and their values if the masters are
/// compact. A thread reuses it from tile to tile.
struct sweep_scratch {
  buffer<float> values;
  buffer<float> direction;
  buffer<std::uint32_t> signs;
};

/// How a forward pass reads trainable tensors when it carries several lanes, each a version of the model at
/// another point of parameter space. `read(p, first, n, out)` writes elements [first, first + n) of every lane:
/// lane l at out[l * n, (l + 1) * n). Called concurrently; the same call gives the same bits.
///
/// `sweep_rows(p, first, count, scratch, f)` gives rows [first, first + count) of a swept tensor without a copy for
/// each lane: for each row it calls f(row - first, lane, values) with the one or two lanes from `lane` on
/// that share a direction, until all have been seen. Only tensors whose granularity is a multiple of
/// `packed_signs::granularity` have directions that are signs. No two calls for one row may run at the same time.
///
/// This is where a network and a zeroth-order method meet, and neither knows the other: `zo::lanes` perturbs
/// on read, `inference_lane` (params/inference_lane.hpp) reads what is there.
template <class L>
concept lane_reader =
    requires(const L& lanes, const parameter& p, std::size_t first, std::size_t n, float* out, sweep_scratch& scratch,
             void (&visit)(std::size_t, std::size_t, std::span<const lane_values>)) {
      { lanes.count() } -> std::convertible_to<std::size_t>;
      { lanes.read(p, first, n, out) } noexcept;
      { lanes.sweep_rows(p, first, n, scratch, visit) };
    };

}  // namespace zoqat

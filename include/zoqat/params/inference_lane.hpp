// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/lanes.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <cstddef>
#include <span>

namespace zoqat::inline ZOQAT_ABI {

/// One lane at the masters themselves: inference.
template <simd::kernels Kernels>
struct basic_inference_lane {
  [[nodiscard]] static constexpr std::size_t count() noexcept { return 1; }
  static void read(const parameter& p, std::size_t first, std::size_t n, float* out) noexcept {
    read_masters<Kernels>(p, first, n, out);
  }
  template <class F>
  static void sweep_rows(const parameter& p, std::size_t first, std::size_t count, sweep_scratch& scratch, F&& f) {
    if (p.compact.size() != 0) scratch.values.resize(p.row_size);
    for (std::size_t r = 0; r != count; ++r) {
      const lane_values row{masters<Kernels>(p, (first + r) * p.row_size, p.row_size, scratch.values.data())};
      f(r, std::size_t{0}, std::span(&row, 1));
    }
  }
};

using inference_lane = basic_inference_lane<simd::default_kernels>;
static_assert(lane_reader<inference_lane>);

}  // namespace zoqat

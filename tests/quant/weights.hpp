// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <zoqat/core/matrix.hpp>
#include <zoqat/quant/scheme.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

// What the tests of quantization share: weights, the clipping parameters to start from, and all kinds of quantizers.

namespace zoqat::quant::testing {

/// Weights [rows, cols] that depend on nothing but `name`: uniform in [-1.5, 0.5) and of another magnitude in each
/// row, every eleventh one zero.
inline matrix<float> weights(std::size_t rows, std::size_t cols, std::uint32_t name) {
  rng::engine draw({.seed = 30, .tensor = name, .use = rng::purpose::data});
  matrix<float> m(rows, cols);
  for (std::size_t r = 0; r != rows; ++r)
    for (std::size_t c = 0; c != cols; ++c) {
      const float x = (2 * draw.uniform() - 1.5f) * static_cast<float>(r + 1);
      m(r, c) = draw.below(11) == 0 ? 0.0f : x;
    }
  return m;
}

/// The least and the greatest of some weights, zero included: the definition.
inline simd::range range_of(std::span<const float> w) {
  simd::range r;
  for (const float x : w) r = {std::min(r.min, x), std::max(r.max, x)};
  return r;
}

/// Calls f(row, group, first, count) for every grid of a matrix [rows, cols], in the order of storage; once, with
/// everything, for per_tensor.
template <class Weight, class F>
void for_each_grid(std::size_t rows, std::size_t cols, F&& f) {
  if constexpr (Weight::whole_tensor) {
    if (rows != 0) f(std::size_t{0}, std::size_t{0}, std::size_t{0}, rows * cols);
  } else {
    const std::size_t size = Weight::group_size(cols);
    for (std::size_t row = 0; row != rows; ++row)
      for (std::size_t first = 0; first < cols; first += size)
        f(row, first / size, row * cols + first, std::min(size, cols - first));
  }
}

/// The starting parameters of the clipping policy for every grid of `w`.
template <class Weight>
std::vector<float> starting_clipping(const matrix<float>& w, float min_factor = 1, float max_factor = 1) {
  std::vector<float> parameters;
  for_each_grid<Weight>(w.rows(), w.cols(), [&](std::size_t, std::size_t, std::size_t first, std::size_t count) {
    float p[4];
    Weight::clipping::init(range_of(w.flat().subspan(first, count)), Weight::bits, Weight::zeros, min_factor,
                           max_factor, p);
    parameters.insert(parameters.end(), p, p + Weight::clipping::parameters);
  });
  return parameters;
}

/// Calls f.template operator()<Weight>() for each of the numbers of bits.
template <class Granularity, class Symmetry, class Clipping, class ScaleFormat, int... Bits, class F>
void for_widths(std::integer_sequence<int, Bits...>, F&& f) {
  (f.template operator()<weight<Bits, Granularity, Symmetry, Clipping, ScaleFormat>>(), ...);
}
using all_widths = std::integer_sequence<int, 2, 3, 4, 5, 6, 7, 8>;
using some_widths = std::integer_sequence<int, 2, 3, 8>;

}  // namespace zoqat::quant::testing

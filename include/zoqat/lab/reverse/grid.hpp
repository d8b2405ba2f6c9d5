// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/rounding.hpp>
#include <zoqat/lab/reverse/tape.hpp>
#include <zoqat/quant/clipping.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

/// A grid as numbers: step size Δ, zero point z, the least and the greatest code, and minimum m.
using grid_numbers = std::array<double, 5>;
inline constexpr std::size_t grid_width = 5;

[[nodiscard]] inline grid_numbers numbers_of(const quant::code_grid& g) noexcept {
  return {static_cast<double>(g.grid.scale), static_cast<double>(g.grid.zero_point), static_cast<double>(g.least),
          static_cast<double>(g.greatest), static_cast<double>(g.grid.minimum)};
}

/// A grid before anything of it is rounded, and its derivative by each parameter of its clipping policy.
template <std::size_t Parameters>
struct smooth_grid {
  grid_numbers value{};
  std::array<grid_numbers, Parameters> by{};
};

// How a clipping policy (quant/clipping.hpp) leads to a grid, without rounding: an overload for each. Parameters `p`
// may be null where there are none; the range of the weights counts as a constant.

[[nodiscard]] inline smooth_grid<0> smooth_grid_of(quant::clip::none, simd::range, int, quant::zero_points,
                                                   const double*) noexcept {
  return {};
}

/// Δ = (σ(p₁) max − σ(p₀) min) / top and z = −σ(p₀) min / Δ, or m = −σ(p₀) min where grids have minima; in the
/// middle, Δ is the larger of the two that either side needs. OmniQuant's released code has the same Δ; there z is no
/// function of p, here its rounding is straight-through as every other.
[[nodiscard]] inline smooth_grid<2> smooth_grid_of(quant::clip::range, simd::range r, int bits,
                                                   quant::zero_points zeros, const double* p) noexcept {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto slope = [&](double x) { return sigmoid(x) * (1 - sigmoid(x)); };
  const double top = std::exp2(bits) - 1, low = static_cast<double>(r.min), high = static_cast<double>(r.max);
  const double least = sigmoid(p[0]) * low, greatest = sigmoid(p[1]) * high;
  smooth_grid<2> g{.value = {0, 0, 0, top}};
  if (zeros == quant::zero_points::any || zeros == quant::zero_points::none) {
    const double step = std::max((greatest - least) / top, static_cast<double>(simd::minimum_scale));
    g.value[0] = step;
    g.by[0][0] = -slope(p[0]) * low / top;
    g.by[1][0] = slope(p[1]) * high / top;
    if (zeros == quant::zero_points::none) {
      g.value[4] = -least, g.by[0][4] = -slope(p[0]) * low;
      return g;
    }
    g.value[1] = -least / step;
    for (std::size_t k = 0; k != 2; ++k) g.by[k][1] = least / (step * step) * g.by[k][0];
    g.by[0][1] -= slope(p[0]) * low / step;
    return g;
  }
  const double half = std::exp2(bits - 1), up = half > 1 ? half - 1 : 1;
  const auto of_ends = [&](double positive, double negative, std::size_t k_positive, double by_positive,
                           double by_negative) {
    const bool upper = positive / up > negative / half;
    g.value[0] = upper ? positive / up : negative / half;
    g.by[upper ? k_positive : 1 - k_positive][0] = upper ? by_positive / up : by_negative / half;
  };
  const double by_least = -slope(p[0]) * low, by_greatest = slope(p[1]) * high;
  const double upright = std::max(greatest / up, -least / half), turned = std::max(-least / up, greatest / half);
  if (zeros == quant::zero_points::near_middle && turned < upright)
    of_ends(-least, greatest, 0, by_least, by_greatest);
  else
    of_ends(greatest, -least, 1, by_greatest, by_least);
  return g;
}

/// Δ = exp p₀, z = p₁ where it may be any code and lies among them, m = Δ p₁ where grids have minima, and bounds
/// σ(p₂) top and σ(p₃) top, in their order.
[[nodiscard]] inline smooth_grid<4> smooth_grid_of(quant::clip::codes, simd::range, int bits,
                                                   quant::zero_points zeros, const double* p) noexcept {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double top = std::exp2(bits) - 1;
  smooth_grid<4> g;
  g.value[0] = g.by[0][0] = std::exp(p[0]);
  if (zeros == quant::zero_points::any) {
    g.value[1] = std::clamp(p[1], 0.0, top);
    g.by[1][1] = p[1] > 0 && p[1] < top ? 1 : 0;
  }
  if (zeros == quant::zero_points::none) {
    g.value[4] = g.by[0][4] = g.value[0] * p[1];
    g.by[1][4] = g.value[0];
  }
  const std::size_t least = p[2] <= p[3] ? 2 : 3, greatest = 5 - least;
  for (const auto& [k, to] : {std::pair(least, std::size_t{2}), std::pair(greatest, std::size_t{3})})
    g.value[to] = sigmoid(p[k]) * top, g.by[k][to] = sigmoid(p[k]) * (1 - sigmoid(p[k])) * top;
  return g;
}

/// The grids [grids, 5] of a matrix from the parameters of its policy [grids, parameters]: numbers as in
/// `grid_numbers`, rounded straight-through to those that `exact()` gives, [grids, 5]. `ranges` [grids, 2] are those
/// of the weights, for a policy that follows them.
template <class Policy, class Exact>
[[nodiscard]] variable grids_of(tape& t, variable parameters, const matrix<double>& ranges, int bits,
                                quant::zero_points zeros, roundings& r, Exact&& exact) {
  constexpr std::size_t count = Policy::parameters;
  const std::size_t grids = parameters->value.rows();
  matrix<double> value(grids, grid_width), slopes(grids, count * grid_width);
  for (std::size_t i = 0; i != grids; ++i) {
    simd::range range;
    if (Policy::follows_range) range = {static_cast<float>(ranges(i, 0)), static_cast<float>(ranges(i, 1))};
    const auto g = smooth_grid_of(Policy{}, range, bits, zeros, parameters->value.row(i).data());
    std::ranges::copy(g.value, value.row(i).begin());
    for (std::size_t k = 0; k != count; ++k) std::ranges::copy(g.by[k], slopes.row(i).data() + k * grid_width);
  }
  const variable smooth = t.operation(std::move(value), [parameters, slopes = std::move(slopes)](const node& result) {
    for (std::size_t i = 0; i != slopes.rows(); ++i)
      for (std::size_t k = 0; k != slopes.cols(); ++k)
        parameters->gradient(i, k / grid_width) += slopes(i, k) * result.gradient(i, k % grid_width);
  });
  return straight_through_unclamped(t, smooth, r, exact);
}

/// Which grid an element of a matrix is on.
struct grid_layout {
  std::size_t groups = 1;      ///< in a row
  std::size_t group_size = 1;  ///< elements; the last group of a row may be short
  bool whole = false;          ///< one grid for the whole matrix

  [[nodiscard]] std::size_t operator()(std::size_t row, std::size_t col) const noexcept {
    return whole ? 0 : row * groups + col / group_size;
  }
};

/// Values x [rows, cols] on grids [grids, 5]: Δ · (clamp((x + m)/Δ + z, least, greatest) − z) − m, where `codes()`
/// [rows, cols] says which codes a quantizer gave. With r = code − z, the derivatives are those of LSQ (arXiv
/// 1902.08153) and of its asymmetric kin (LSQ+, arXiv 2004.09576, whose offset is −m):
///   between the bounds   by x: 1        by Δ: r − (x + m)/Δ   by z: 0    by m: 0
///   beyond one           by x: 0        by Δ: r               by z: −Δ   by m: −1   by that bound: Δ
template <class Codes>
[[nodiscard]] variable on_grids(tape& t, variable x, variable grids, const grid_layout& layout, roundings& r,
                                Codes&& codes) {
  const std::size_t rows = x->value.rows(), cols = x->value.cols();
  const auto step = [&](std::size_t i, std::size_t j) { return grids->value(layout(i, j), 0); };
  const auto zero = [&](std::size_t i, std::size_t j) { return grids->value(layout(i, j), 1); };
  const auto minimum = [&](std::size_t i, std::size_t j) { return grids->value(layout(i, j), 4); };
  const auto steps = [&](std::size_t i, std::size_t j) { return (x->value(i, j) + minimum(i, j)) / step(i, j); };
  // 0 between the bounds, 2 at the least code and 3 at the greatest for what lies beyond: the column of that bound.
  const matrix<double>& beyond = r.note([&] {
    matrix<double> side(rows, cols, 0.0);
    for (std::size_t i = 0; i != rows; ++i)
      for (std::size_t j = 0; j != cols; ++j) {
        const double code = std::nearbyint(steps(i, j)) + zero(i, j);
        for (const std::size_t bound : {std::size_t{2}, std::size_t{3}}) {
          const double end = grids->value(layout(i, j), bound);
          if (bound == 2 ? code < end : code > end) side(i, j) = static_cast<double>(bound);
        }
      }
    return side;
  });
  const matrix<double>& added = r.note([&] {
    matrix<double> c = codes();
    for (std::size_t i = 0; i != rows; ++i)
      for (std::size_t j = 0; j != cols; ++j) c(i, j) -= zero(i, j) + steps(i, j);
    return c;
  });
  matrix<double> value(rows, cols);
  for (std::size_t i = 0; i != rows; ++i)
    for (std::size_t j = 0; j != cols; ++j) {
      const auto bound = static_cast<std::size_t>(beyond(i, j));
      value(i, j) = bound == 0 ? x->value(i, j) + step(i, j) * added(i, j)
                               : step(i, j) * (grids->value(layout(i, j), bound) - zero(i, j)) - minimum(i, j);
    }
  return t.operation(std::move(value), [x, grids, layout, &beyond, &added](const node& result) {
    for (std::size_t i = 0; i != beyond.rows(); ++i)
      for (std::size_t j = 0; j != beyond.cols(); ++j) {
        const std::size_t at = layout(i, j);
        const double g = result.gradient(i, j), delta = grids->value(at, 0);
        if (const auto bound = static_cast<std::size_t>(beyond(i, j)); bound != 0) {
          grids->gradient(at, 0) += g * (grids->value(at, bound) - grids->value(at, 1));
          grids->gradient(at, 1) -= g * delta;
          grids->gradient(at, bound) += g * delta;
          grids->gradient(at, 4) -= g;
        } else {
          x->gradient(i, j) += g;
          grids->gradient(at, 0) += g * added(i, j);
        }
      }
  });
}

/// x [rows, cols] times the factor of its group, [rows, groups].
[[nodiscard]] inline variable multiply_groups(tape& t, variable x, variable factors, const grid_layout& layout) {
  require(factors->value.size() == x->value.rows() * layout.groups, "multiply_groups: [{}, {}] with {} factors",
          x->value.rows(), x->value.cols(), factors->value.size());
  matrix<double> value = x->value;
  for (std::size_t i = 0; i != value.rows(); ++i)
    for (std::size_t j = 0; j != value.cols(); ++j) value(i, j) *= factors->value.data()[layout(i, j)];
  return t.operation(std::move(value), [x, factors, layout](const node& result) {
    for (std::size_t i = 0; i != result.value.rows(); ++i)
      for (std::size_t j = 0; j != result.value.cols(); ++j) {
        x->gradient(i, j) += result.gradient(i, j) * factors->value.data()[layout(i, j)];
        factors->gradient.data()[layout(i, j)] += result.gradient(i, j) * x->value(i, j);
      }
  });
}

}  // namespace zoqat::lab::reverse

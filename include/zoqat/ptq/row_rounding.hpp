// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/ptq/cholesky.hpp>
#include <zoqat/ptq/rounded_row.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/kernels.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// How much damping moments want where nothing is known of the model: the coarser the grid, the more of an error is
/// of a kind that the calibration text does not show. Chosen on held-out training text.
template <class Weight>
inline constexpr double default_damping = Weight::bits <= 2 ? 0.1 : 0.01;

/// The second moment H = E[x xᵀ] of a linear layer's input, damped, with what rounding needs of it. The squared error
/// of an output whose weights are off by e is e H eᵀ.
struct input_metric {
  matrix<double> moment;   ///< H + damping · mean(diag H) · I: [in, in]
  matrix<double> inverse;  ///< of `moment`
  matrix<double>
      feedback;  ///< upper triangular U with UᵀU = inverse: row j spreads the error of weight j over those after it

  input_metric(matrix<double> h, double damping) : moment(std::move(h)) {
    const std::size_t n = moment.rows();
    require(moment.cols() == n, "input_metric: moments are square, but these are [{}, {}]", n, moment.cols());
    require(damping >= 0 && std::isfinite(damping), "input_metric: the damping is {}", damping);
    double mean = 0;
    for (std::size_t i = 0; i != n; ++i) mean += moment(i, i) / static_cast<double>(n);
    // An input that is always zero has no say in the output; a unit diagonal keeps the metric definite.
    for (std::size_t i = 0; i != n; ++i) moment(i, i) += mean > 0 ? damping * mean : 1.0;
    inverse = inverse_from_cholesky(cholesky(moment));
    feedback = upper_cholesky(inverse);
  }
};

/// Finds codes and grids for the weights of one output channel that keep its output: minimizes e H eᵀ over the codes,
/// the step sizes, the minima of grids that have them and, in the first stage, the range of each grid. Stages, each
/// starting from the last:
///   1. the range of each grid, by shrinking its two ends in steps of 5 % (the clipping of eq. 5);
///   2. rounding column by column, the error of each spread over those to come (GPTQ, arXiv 2210.17323),
///      unless rounding to nearest happens to be better;
///   3. coordinate descent over the codes, in turn with the least-squares step size, and minimum, of each group.
/// Each stage lowers the error or leaves it. All in double. Cost: about 75 in · group_size + 30 in² operations, and
/// 10 in² more with minima or shared scales.
template <class Weight>
class row_rounding {
 public:
  /// Sweeps of stage 3.
  static constexpr int sweeps = 8;

  row_rounding(const input_metric& metric, std::span<const double> weights) : metric_(metric), weights_(weights) {
    require(weights.size() == metric.moment.rows(), "row_rounding: {} weights for moments of {} inputs",
            weights.size(), metric.moment.rows());
  }

  /// All stages.
  [[nodiscard]] rounded_row operator()() const {
    rounded_row row = ranges_only(), fed_back = row;
    round_with_feedback(fed_back);
    if (fed_back.error < row.error) row = std::move(fed_back);
    for (int sweep = 0; sweep != sweeps; ++sweep)
      if (!improve(row)) break;
    row.error = error_of(row);
    return row;
  }

  /// Stage 1 alone: ranges, and codes by rounding to nearest.
  [[nodiscard]] rounded_row ranges_only() const {
    rounded_row row{std::vector<std::uint8_t>(size()), fit_ranges(), 0};
    for (std::size_t k = 0; k != size(); ++k) row.codes[k] = nearest(weights_[k], row.grids[group_of(k)]);
    row.error = error_of(row);
    return row;
  }

  /// One sweep of stage 3 over a row that was found for these weights or for others; its `error` is left as it was.
  /// Returns whether a code changed.
  bool improve(rounded_row& row) const {
    std::vector<double> slope = slope_of(row);
    bool moved = false;
    for (std::size_t k = 0; k != size(); ++k) moved |= improve_code(row, k, slope);
    improve_grids(row, slope);
    return moved;
  }
  /// weights − row: [in].
  [[nodiscard]] std::vector<double> error_vector(const rounded_row& row) const {
    std::vector<double> error(size());
    for (std::size_t k = 0; k != size(); ++k) error[k] = weights_[k] - value(row.codes[k], row.grids[group_of(k)]);
    return error;
  }

 private:
  [[nodiscard]] std::size_t size() const noexcept { return weights_.size(); }
  [[nodiscard]] std::size_t group_of(std::size_t k) const noexcept { return k / Weight::group_size(size()); }
  static double value(std::uint8_t code, const simd::grid& g) noexcept { return detail::value_of(code, g); }
  static std::uint8_t nearest(double w, const simd::grid& g) noexcept { return detail::nearest_code<Weight>(w, g); }

  std::vector<simd::grid> fit_ranges() const {
    std::vector<simd::grid> grids;
    quant::for_each_group<Weight>(
        size(), [&](std::size_t, std::size_t first, std::size_t count) { grids.push_back(fit_range(first, count)); });
    quant::share_scales<Weight>(grids);
    return grids;
  }
  simd::grid fit_range(std::size_t first, std::size_t count) const {
    const simd::range r = detail::range_of(weights_.subspan(first, count));
    float low = 1, high = 1;
    double best = std::numeric_limits<double>::infinity();
    simd::grid result;
    const auto attempt = [&](float a, float b) {
      const simd::grid g = detail::unclipped_grid<Weight>({a * r.min, b * r.max});
      const double error = range_error(first, count, g);
      if (error < best) best = error, result = g, low = a, high = b;
    };
    // Both ends together, then each on its own, twice.
    for (int step = 0; step != 15; ++step)
      attempt(1 - 0.05f * static_cast<float>(step), 1 - 0.05f * static_cast<float>(step));
    for (int round = 0; round != 2; ++round) {
      for (int step = 0; step != 15; ++step) attempt(1 - 0.05f * static_cast<float>(step), high);
      for (int step = 0; step != 15; ++step) attempt(low, 1 - 0.05f * static_cast<float>(step));
    }
    return result;
  }
  /// e H eᵀ over the group alone, for rounding to nearest on `g`.
  double range_error(std::size_t first, std::size_t count, const simd::grid& g) const {
    thread_local std::vector<double> e;
    e.resize(count);
    for (std::size_t i = 0; i != count; ++i) e[i] = weights_[first + i] - value(nearest(weights_[first + i], g), g);
    double total = 0;
    for (std::size_t i = 0; i != count; ++i) {
      const auto h = metric_.moment.row(first + i).subspan(first, count);
      double inner = 0;
      for (std::size_t j = 0; j != count; ++j) inner += h[j] * e[j];
      total += inner * e[i];
    }
    return total;
  }

  void round_with_feedback(rounded_row& row) const {
    std::vector<double> w(weights_.begin(), weights_.end());
    for (std::size_t k = 0; k != size(); ++k) {
      const simd::grid& g = row.grids[group_of(k)];
      row.codes[k] = nearest(w[k], g);
      const auto feedback = metric_.feedback.row(k);
      const double error = (w[k] - value(row.codes[k], g)) / feedback[k];
      for (std::size_t j = k; j != size(); ++j) w[j] -= error * feedback[j];
    }
    row.error = error_of(row);
  }

  /// (weights − row) H, the slope of half the error.
  std::vector<double> slope_of(const rounded_row& row) const {
    const std::vector<double> e = error_vector(row);
    std::vector<double> slope(size(), 0.0);
    for (std::size_t k = 0; k != size(); ++k) detail::add_scaled(metric_.moment.row(k), e[k], slope);
    return slope;
  }
  double error_of(const rounded_row& row) const {
    const std::vector<double> e = error_vector(row), slope = slope_of(row);
    return std::inner_product(e.begin(), e.end(), slope.begin(), 0.0);
  }

  bool improve_code(rounded_row& row, std::size_t k, std::vector<double>& slope) const {
    const simd::grid& g = row.grids[group_of(k)];
    const auto h = metric_.moment.row(k);
    const std::uint8_t better = nearest(value(row.codes[k], g) + slope[k] / h[k], g);
    if (better == row.codes[k]) return false;
    const double change = static_cast<double>(g.scale) * (better - row.codes[k]);
    row.codes[k] = better;
    detail::add_scaled(h, -change, slope);
    return true;
  }
  /// How the error changes as the scale of a group grows by `step`, and its minimum by `minimum`: a paraboloid, of
  /// which u are the codes less the zero point, 1 as many ones, and s the slope.
  struct error_change {
    double s_u = 0, s_1 = 0, u_h_u = 0, u_h_1 = 0, one_h_1 = 0;

    [[nodiscard]] double operator()(double step, double minimum) const noexcept {
      return step * (step * u_h_u - 2 * s_u) + minimum * (minimum * one_h_1 + 2 * s_1 - 2 * step * u_h_1);
    }
    /// The best of one beside the other.
    [[nodiscard]] double best_minimum(double step) const noexcept {
      return one_h_1 > 0 ? (step * u_h_1 - s_1) / one_h_1 : 0;
    }
    [[nodiscard]] double best_step(double minimum) const noexcept {
      return u_h_u > 0 ? (s_u + minimum * u_h_1) / u_h_u : 0;
    }
    /// The best step where the minimum is the best beside it; codes that are all alike have none.
    [[nodiscard]] double best_step() const noexcept {
      if (!(one_h_1 > 0)) return best_step(0);
      const double curvature = u_h_u - u_h_1 * u_h_1 / one_h_1;
      return curvature > 1e-9 * u_h_u ? (s_u - s_1 * u_h_1 / one_h_1) / curvature : 0;
    }
  };

  /// Better grids with all else fixed, as they can be stored.
  void improve_grids(rounded_row& row, std::vector<double>& slope) const {
    if constexpr (Weight::shares_scales) {
      const std::vector<simd::grid> before = row.grids;
      const double error = error_of(row);
      move_grids(row, slope, best_grid);
      quant::share_scales<Weight>(row.grids);
      if (error_of(row) > error) row.grids = before;  // what is best for each may not be for what they share
      improve_factors(row);
    } else {
      move_grids(row, slope, [](std::size_t, const simd::grid& g, const error_change& change) {
        return quant::scaled<Weight>(best_grid(0, g, change), 1);
      });
    }
  }
  /// The grid that minimizes the error.
  static simd::grid best_grid(std::size_t, const simd::grid& g, const error_change& change) {
    const auto scale = static_cast<double>(g.scale), minimum = static_cast<double>(g.minimum);
    double step = std::max(change.best_step(), -0.5 * scale), up = change.best_minimum(step);
    if (Weight::shares_scales && minimum + up < 0) {  // what is shared is not negative
      up = -minimum;
      step = std::max(change.best_step(up), -0.5 * scale);
    }
    return {static_cast<float>(scale + step), g.zero_point, static_cast<float>(minimum + up)};
  }
  /// Moves the factors of grids that share what they are multiples of, which stays.
  void improve_factors(rounded_row& row) const {
    using quant::shared_factors;
    constexpr int most = Weight::scale_format::greatest;
    const auto sharing = [&](std::size_t group) {
      const std::size_t first = group / Weight::scale_format::groups * Weight::scale_format::groups;
      return std::span(row.grids).subspan(first, std::min(Weight::scale_format::groups, row.grids.size() - first));
    };
    std::vector<double> slope = slope_of(row);
    move_grids(row, slope, [&](std::size_t group, const simd::grid& g, const error_change& change) {
      const quant::shared_units unit = quant::units_of<Weight>(sharing(group));
      const shared_factors wanted = quant::factors_of<Weight>(best_grid(group, g, change), unit);
      simd::grid best = g;
      double least = 0;
      for (int factor = std::max(1, wanted.scale - 1); factor <= std::min(most, wanted.scale + 1); ++factor) {
        simd::grid tried = quant::grid_on({factor, 0}, unit, g.zero_point);
        const double step = static_cast<double>(tried.scale) - static_cast<double>(g.scale);
        tried.minimum = g.minimum + static_cast<float>(change.best_minimum(step));
        tried = quant::grid_on(quant::factors_of<Weight>(tried, unit), unit, g.zero_point);
        const double by = change(step, static_cast<double>(tried.minimum) - static_cast<double>(g.minimum));
        if (by >= least) continue;
        row.grids[group] = tried;
        if (quant::units_of<Weight>(sharing(group)) == unit) best = tried, least = by;
        row.grids[group] = g;
      }
      return best;
    });
  }
  /// Moves the grid of one group after the other to what `choose(group, grid, error_change)` says, where that lessens
  /// the error: storing it may have rounded it too far.
  template <class Choose>
  void move_grids(rounded_row& row, std::vector<double>& slope, Choose&& choose) const {
    std::vector<double> u_h(size()), one_h(Weight::has_minima ? size() : 0);
    quant::for_each_group<Weight>(size(), [&](std::size_t group, std::size_t first, std::size_t count) {
      const simd::grid g = row.grids[group];
      const auto u = [&](std::size_t k) { return static_cast<double>(row.codes[k] - g.zero_point); };
      std::ranges::fill(u_h, 0.0);
      std::ranges::fill(one_h, 0.0);
      for (std::size_t k = first; k != first + count; ++k) {
        detail::add_scaled(metric_.moment.row(k), u(k), u_h);
        if constexpr (Weight::has_minima) detail::add_scaled(metric_.moment.row(k), 1, one_h);
      }
      error_change change;
      for (std::size_t k = first; k != first + count; ++k) {
        change.s_u += slope[k] * u(k);
        change.u_h_u += u_h[k] * u(k);
        if constexpr (Weight::has_minima) {
          change.s_1 += slope[k];
          change.u_h_1 += u_h[k];
          change.one_h_1 += one_h[k];
        }
      }
      if (change.u_h_u <= 0) return;
      const simd::grid better = choose(group, g, change);
      const double step = static_cast<double>(better.scale) - static_cast<double>(g.scale);
      const double up = static_cast<double>(better.minimum) - static_cast<double>(g.minimum);
      if (change(step, up) >= 0) return;
      row.grids[group] = better;
      detail::add_scaled(u_h, -step, slope);
      if constexpr (Weight::has_minima) detail::add_scaled(one_h, up, slope);
    });
  }

  const input_metric& metric_;
  std::span<const double> weights_;
};

}  // namespace zoqat::ptq

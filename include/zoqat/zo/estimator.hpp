// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/zo/difference.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/perturbation.hpp>
#include <zoqat/zo/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The function that is minimised: writes the loss at each lane's point, on one micro-batch of the step's data, into
/// `losses`: same length, same order. All lanes see the same data.
template <class O>
concept objective =
    requires(O& loss, std::span<const perturbation> lanes, std::size_t micro_batch, std::span<double> losses) {
      { loss(lanes, micro_batch, losses) };
    };

/// Estimates the gradient of an objective from its values alone (eq. 2): with ε per group and unit variance
/// directions it is unbiased for the gradient of the objective smoothed over that ε. Holds settings only; every
/// random number follows from (seed, step).
template <difference Difference = central, distribution Distribution = gaussian, slope_shaping Shaping = as_measured>
struct estimator {
  per_group<float> epsilon = per_group<float>::all(1e-3f);  ///< in units of the parameters (see parameter::unit)
  std::uint32_t directions = 1;                             ///< q: directions averaged per step
  std::uint32_t micro_batches = 1;  ///< losses are averaged over so many, along the same directions
  float clip = 0;                   ///< if positive, bounds |slope| (the released code uses 0.2)
  std::uint64_t seed = 0;
  [[no_unique_address]] Distribution elements{};  ///< of a direction; what applies the updates must use the same
  [[no_unique_address]] Difference difference{};
  [[no_unique_address]] Shaping shaping{};

  /// Evaluates the lanes of the difference, 2q for central ones, at step `step` on every micro-batch. Never moves a
  /// parameter.
  template <objective Objective>
  [[nodiscard]] estimate operator()(std::uint32_t step, Objective&& loss) const {
    require(directions > 0 && micro_batches > 0, "estimator: {} on {}; both must be at least 1",
            plural(directions, "direction"), plural(micro_batches, "micro-batch"));
    std::vector<perturbation> along(directions), lanes(difference.lanes(directions));
    for (std::uint32_t i = 0; i != directions; ++i) along[i] = {{seed, step, i}, epsilon};
    difference.place(along, lanes);
    estimate result{.seed = seed, .step = step, .epsilon = epsilon, .slope = {}};
    std::vector<double> losses(lanes.size()), of_lanes(lanes.size()), of_directions(directions);
    std::vector<double> slopes(directions * micro_batches);
    double total = 0;
    for (std::uint32_t m = 0; m != micro_batches; ++m) {
      loss(std::span<const perturbation>(lanes), m, std::span(losses));
      if (!std::ranges::all_of(losses, [](double value) { return std::isfinite(static_cast<float>(value)); }))
        return result;
      for (std::size_t lane = 0; lane != losses.size(); ++lane) {
        total += losses[lane];
        of_lanes[lane] += losses[lane] / micro_batches;
      }
      difference.slopes(along, losses, of_directions);
      for (std::uint32_t i = 0; i != directions; ++i) slopes[i * micro_batches + m] = of_directions[i];
    }
    result.loss = total / static_cast<double>(losses.size() * micro_batches);
    result.spread = spread_of(lanes, of_lanes);
    for (std::uint32_t i = 0; i != directions; ++i)
      add_direction(std::span<const double>(slopes).subspan(i * micro_batches, micro_batches), result);
    shaping(std::span(result.slope), result.spread);
    return result;
  }

 private:
  /// The standard deviation over the lanes that move.
  static float spread_of(std::span<const perturbation> lanes, std::span<const double> losses) {
    double n = 0, mean = 0, squares = 0;
    for (std::size_t i = 0; i != lanes.size(); ++i) {
      if (lanes[i].scale == per_group<float>()) continue;
      const double before = losses[i] - mean;
      mean += before / ++n;
      squares += before * (losses[i] - mean);
    }
    return n > 1 ? static_cast<float>(std::sqrt(squares / (n - 1))) : 0.0f;
  }
  void add_direction(std::span<const double> of_micro_batch, estimate& to) const {
    const auto n = static_cast<double>(of_micro_batch.size());
    double sum = 0, squares = 0;
    for (const double s : of_micro_batch) sum += s, squares += s * s;
    const double mean = sum / n, agreed = n > 1 ? (sum * sum - squares) / (n * (n - 1)) : mean * mean;
    to.agreed_power += static_cast<float>(agreed / directions);
    to.power += static_cast<float>(mean * mean / directions);
    const auto slope = static_cast<float>(mean);
    to.slope.push_back(clip > 0 ? std::clamp(slope, -clip, clip) : slope);
  }
};

}  // namespace zoqat::zo

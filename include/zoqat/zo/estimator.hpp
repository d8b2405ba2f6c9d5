// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::zo {

/// The function that is minimised: writes the loss at each lane's point, on one micro-batch of the step's data, into
/// `losses`: same length, same order. All lanes see the same data.
template <class O>
concept objective = requires(O& loss, std::span<const perturbation> lanes, std::size_t micro_batch,
                             std::span<double> losses) {
  { loss(lanes, micro_batch, losses) };
};

/// Central differences: the antithetic pair (+εu, −εu) of every direction. The even terms of the loss cancel, so
/// on a quadratic the estimate is exact in expectation at any ε, and noise common to both lanes drops out.
struct central {
  static constexpr std::size_t lanes_per_direction = 2;
  static void place(const perturbation& forward, std::span<perturbation> lanes) {
    lanes[0] = forward;
    lanes[1] = -forward;
  }
  [[nodiscard]] static double slope(std::span<const double> losses) { return (losses[0] - losses[1]) / 2; }
};

/// Estimates the gradient of an objective from its values alone (eq. 2): with ε per group and unit variance
/// directions it is unbiased for the gradient of the objective smoothed over that ε. Holds settings only; every
/// random number follows from (seed, step).
template <class Difference = central, distribution Distribution = gaussian>
struct estimator {
  per_group<float> epsilon = per_group<float>::all(1e-3f);  ///< in units of the parameters (see parameter::unit)
  std::uint32_t directions = 1;                             ///< q: directions averaged per step
  std::uint32_t micro_batches = 1;  ///< losses are averaged over so many, along the same directions
  float clip = 0;                   ///< if positive, bounds |L⁺ − L⁻| / 2 (the released code uses 0.2)
  std::uint64_t seed = 0;
  [[no_unique_address]] Distribution elements{};  ///< of a direction; what applies the updates must use the same

  /// Evaluates 2q lanes at step `step` on every micro-batch. Never moves a parameter.
  template <objective Objective>
  [[nodiscard]] estimate operator()(std::uint32_t step, Objective&& loss) const {
    require(directions > 0 && micro_batches > 0,
            "estimator: {} directions on {} micro-batches; both must be at least 1", directions, micro_batches);
    std::vector<perturbation> lanes(directions * Difference::lanes_per_direction);
    for (std::uint32_t i = 0; i != directions; ++i)
      Difference::place({{seed, step, i}, epsilon}, of_direction(std::span(lanes), i));
    estimate result{.seed = seed, .step = step, .epsilon = epsilon, .slope = {}};
    std::vector<double> losses(lanes.size()), slopes(directions * micro_batches);
    double total = 0;
    for (std::uint32_t m = 0; m != micro_batches; ++m) {
      loss(std::span<const perturbation>(lanes), m, std::span(losses));
      if (!std::ranges::all_of(losses, [](double value) { return std::isfinite(static_cast<float>(value)); }))
        return result;
      for (const double value : losses) total += value;
      for (std::uint32_t i = 0; i != directions; ++i)
        slopes[i * micro_batches + m] = Difference::slope(of_direction(std::span<const double>(losses), i));
    }
    result.loss = total / static_cast<double>(losses.size() * micro_batches);
    for (std::uint32_t i = 0; i != directions; ++i)
      add_direction(std::span<const double>(slopes).subspan(i * micro_batches, micro_batches), result);
    return result;
  }

 private:
  template <class T>
  static std::span<T> of_direction(std::span<T> all, std::size_t i) {
    return all.subspan(i * Difference::lanes_per_direction, Difference::lanes_per_direction);
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

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/core/running_moments.hpp>
#include <zoqat/zo/difference.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/losses.hpp>
#include <zoqat/zo/perturbation.hpp>
#include <zoqat/zo/shaping.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The function that is minimized: writes the loss at each lane's point, on one micro-batch of the step's data, into
/// `losses`: same length, same order. All lanes see the same data.
template <class O, class Distribution = rademacher>
concept objective = requires(O& loss, const lane_points<Distribution>& lanes, std::size_t micro_batch,
                             std::span<double> losses) { loss(lanes, micro_batch, losses); };

/// What a step asks for: the loss at each of its lanes, on each of its micro-batches.
template <zo::distribution Distribution>
struct asked_lanes {
  std::uint32_t step = 0;
  std::uint32_t micro_batches = 1;
  std::vector<perturbation> points;  ///< one for each lane
  [[no_unique_address]] Distribution distribution{};

  [[nodiscard]] std::size_t size() const noexcept { return points.size(); }
  [[nodiscard]] lane_points<Distribution> lanes() const noexcept { return {points, distribution}; }
  /// An empty table for the answers.
  [[nodiscard]] loss_table losses() const { return {points.size(), micro_batches}; }
};

/// Asks an objective for every loss of a step. Stops at a micro-batch with a loss that is not finite: the step is
/// lost then.
template <zo::distribution Distribution, objective<Distribution> Objective>
[[nodiscard]] loss_table evaluate(Objective& loss, const asked_lanes<Distribution>& asked) {
  loss_table table = asked.losses();
  std::vector<double> of_lanes(asked.size());
  for (std::uint32_t m = 0; m != asked.micro_batches && !table.spoiled(); ++m) {
    loss(asked.lanes(), std::size_t{m}, std::span(of_lanes));
    table.set(m, of_lanes);
  }
  return table;
}

/// Estimates the gradient of an objective from its values alone, along random directions: simultaneous perturbation
/// (J. C. Spall, "Multivariate Stochastic Approximation Using a Simultaneous Perturbation Gradient Approximation",
/// IEEE Transactions on Automatic Control 37(3), 1992), as eq. 2 of ZeroQAT (arXiv 2509.00031) has it. With ε per
/// group and unit variance directions it is unbiased for the gradient of the objective smoothed over that ε. Holds
/// settings only; every random number follows from (seed, step), and the one place that names what directions are
/// drawn from is this type: lanes, estimates and updates carry it on.
///
/// `ask` and `tell` are for a host with an event loop, a batch server or other machines; calling the estimator with
/// an objective is the three lines on top.
template <zo::difference Difference = central, zo::distribution Distribution = gaussian,
          slope_shaping Shaping = as_measured>
struct estimator {
  using estimate_type = estimate<Distribution>;

  per_group<float> epsilon = per_group<float>::all(1e-3f);  ///< in units of the parameters (see parameter::unit)
  std::uint32_t directions = 1;                             ///< q: directions averaged per step
  std::uint32_t micro_batches = 1;  ///< losses are averaged over so many, along the same directions
  float clip = 0;                   ///< if positive, bounds |half difference| (the released code uses 0.2)
  std::uint64_t seed = 0;
  [[no_unique_address]] Distribution distribution{};
  [[no_unique_address]] Difference difference{};
  [[no_unique_address]] Shaping shaping{};

  /// The lanes whose losses step `step` needs, 2q for central differences: a pure function of the settings. Throws
  /// value_error for settings that make no sense.
  [[nodiscard]] asked_lanes<Distribution> ask(std::uint32_t step) const {
    require(directions > 0 && micro_batches > 0, "estimator: {} on {}; both must be at least 1",
            plural(directions, "direction"), plural(micro_batches, "micro-batch"));
    bool moves = false;
    for (const parameter_group group : all_parameter_groups) {
      require(std::isfinite(epsilon[group]) && epsilon[group] >= 0,
              "estimator: epsilon of {} is {}; it must be a positive number, or 0 for a group that stays",
              parameter_group_names[static_cast<std::size_t>(group)], epsilon[group]);
      moves |= epsilon[group] > 0;
    }
    require(moves, "estimator: epsilon is 0 for every group, so nothing moves");
    asked_lanes<Distribution> asked{step, micro_batches, std::vector<perturbation>(difference.lanes(directions)),
                                    distribution};
    difference.place(directions_of(step), asked.points);
    return asked;
  }

  /// The estimate that the losses of step `step` lead to, now or much later. Rejected where one of them is not
  /// finite, or so far from the others that the square of the difference is not. Throws value_error for a table of
  /// another shape, or one that still lacks a loss.
  [[nodiscard]] estimate<Distribution> tell(std::uint32_t step, const loss_table& losses) const {
    const auto asked = ask(step);
    require(losses.lanes() == asked.size() && losses.micro_batches() == micro_batches,
            "estimator: losses of {} lanes on {} micro-batches were told, but step {} has {} lanes on {}",
            losses.lanes(), losses.micro_batches(), step, asked.size(), micro_batches);
    estimate<Distribution> result{{.seed = seed, .step = step, .epsilon = epsilon, .half_difference = {}},
                                  distribution};
    if (losses.spoiled()) return result;
    require(losses.complete(), "estimator: a loss of step {} is missing", step);
    summarize_losses(asked.points, losses, result);
    const std::vector<perturbation> along = directions_of(step);
    std::vector<double> of_directions(directions), all(directions * micro_batches);
    for (std::uint32_t m = 0; m != micro_batches; ++m) {
      difference.half_differences(along, losses.of(m), of_directions);
      for (std::uint32_t i = 0; i != directions; ++i) all[i * micro_batches + m] = of_directions[i];
    }
    for (std::uint32_t i = 0; i != directions; ++i)
      add_direction(std::span<const double>(all).subspan(i * micro_batches, micro_batches), result);
    if (!std::isfinite(result.signal_power) || !std::isfinite(result.total_power)) {
      result.half_difference.clear();
      return result;
    }
    shaping(std::span(result.half_difference), result.loss_stddev);
    return result;
  }

  /// Asks, evaluates, tells. Never moves a parameter.
  template <objective<Distribution> Objective>
  [[nodiscard]] estimate<Distribution> operator()(std::uint32_t step, Objective&& loss) const {
    return tell(step, evaluate(loss, ask(step)));
  }

 private:
  [[nodiscard]] std::vector<perturbation> directions_of(std::uint32_t step) const {
    std::vector<perturbation> along(directions);
    for (std::uint32_t i = 0; i != directions; ++i) along[i] = {{seed, step, i}, epsilon};
    return along;
  }
  /// The mean over all lanes, and the standard deviation over those that move.
  void summarize_losses(std::span<const perturbation> lanes, const loss_table& losses, measurement& to) const {
    double total = 0;
    std::vector<double> of_lanes(lanes.size());
    for (std::uint32_t m = 0; m != micro_batches; ++m)
      for (std::size_t lane = 0; lane != lanes.size(); ++lane) {
        total += losses(lane, m);
        of_lanes[lane] += losses(lane, m) / micro_batches;
      }
    to.loss = total / static_cast<double>(lanes.size() * micro_batches);
    running_moments moving;
    for (std::size_t lane = 0; lane != lanes.size(); ++lane)
      if (lanes[lane].scale != per_group<float>()) moving.add(of_lanes[lane]);
    to.loss_stddev = moving.count() > 1 ? static_cast<float>(std::sqrt(moving.variance())) : 0.0f;
  }
  void add_direction(std::span<const double> of_micro_batch, measurement& to) const {
    const auto n = static_cast<double>(of_micro_batch.size());
    double sum = 0, squares = 0;
    for (const double s : of_micro_batch) sum += s, squares += s * s;
    const double mean = sum / n, agreed = n > 1 ? (sum * sum - squares) / (n * (n - 1)) : mean * mean;
    to.signal_power += static_cast<float>(agreed / directions);
    to.total_power += static_cast<float>(mean * mean / directions);
    const auto half_difference = static_cast<float>(mean);
    to.half_difference.push_back(clip > 0 ? std::clamp(half_difference, -clip, clip) : half_difference);
  }
};

}  // namespace zoqat::zo

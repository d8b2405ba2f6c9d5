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
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The function that is minimized: writes the loss at each lane's point, on one micro-batch of the step's data, into
/// `losses`: same length, same order. All lanes see the same data.
template <class O, class Distribution = rademacher>
concept objective = requires(O& loss, const lane_points<Distribution>& lanes, std::size_t micro_batch,
                             std::span<double> losses) { loss(lanes, micro_batch, losses); };

/// An objective that is evaluated by several workers: it measures a step by itself, and no part of one can be asked
/// for.
template <class O, class Estimator>
concept shared_objective = requires(O& loss, const Estimator& estimator, std::uint32_t step) {
  { loss.measure(estimator, step) } -> std::same_as<typename Estimator::estimate_type>;
};

/// What a step asks for: the loss at each of its lanes, on each of its micro-batches.
template <zo::distribution Distribution>
struct asked_lanes {
  std::uint32_t step = 0;
  std::uint32_t micro_batches = 1;
  std::vector<perturbation> points;  ///< one for each lane
  [[no_unique_address]] Distribution distribution{};
  bool any_loss_spoils = true;  ///< one that is not finite makes the others useless

  [[nodiscard]] std::size_t size() const noexcept { return points.size(); }
  [[nodiscard]] lane_points<Distribution> lanes() const noexcept { return {points, distribution}; }
  /// An empty table for the answers.
  [[nodiscard]] loss_table losses() const { return {points.size(), micro_batches}; }
};

/// Asks an objective for every loss of a step. Stops at a micro-batch with a loss that is not finite, where the step
/// is lost then.
template <zo::distribution Distribution, objective<Distribution> Objective>
[[nodiscard]] loss_table evaluate(Objective& loss, const asked_lanes<Distribution>& asked) {
  loss_table table = asked.losses();
  std::vector<double> of_lanes(asked.size());
  for (std::uint32_t m = 0; m != asked.micro_batches && !(asked.any_loss_spoils && table.spoiled()); ++m) {
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
  /// If at least 1, bounds what single losses can do, whoever sends them: the half difference of a direction on one
  /// micro-batch is brought to within this many times the median magnitude of all of the step, of which there must be
  /// three, and one that is not finite counts as missing. As long as fewer than half of them are nonsense, none moves
  /// the weights further than so many honest ones. Where half of them are exactly 0, as losses that change by leaps
  /// have, nothing moves.
  float median_bound = 0;
  std::uint64_t seed = 0;
  [[no_unique_address]] Distribution distribution{};
  [[no_unique_address]] Difference difference{};
  [[no_unique_address]] Shaping shaping{};

  /// The lanes whose losses step `step` needs, 2q for central differences: a pure function of the settings. Throws
  /// value_error for settings that make no sense.
  [[nodiscard]] asked_lanes<Distribution> ask(std::uint32_t step) const {
    require(directions > 0 && micro_batches > 0, "estimator: {} on {}; both must be at least 1",
            plural(directions, "direction"), plural(micro_batches, "micro-batch"));
    require(median_bound == 0 || (median_bound >= 1 && std::isfinite(median_bound) &&
                                  separable_difference<Difference> && std::uint64_t{directions} * micro_batches >= 3),
            "estimator: median_bound is {} with {} on {}; it is 0 or at least 1, and bounds at least three half "
            "differences of a step that "
            "have lanes of their own, as those of zo::central do",
            median_bound, plural(directions, "direction"), plural(micro_batches, "micro-batch"));
    bool moves = false;
    for (const parameter_group group : all_parameter_groups) {
      require(std::isfinite(epsilon[group]) && epsilon[group] >= 0,
              "estimator: epsilon of {} is {}; it must be a positive number, or 0 for a group that stays",
              parameter_group_names[static_cast<std::size_t>(group)], epsilon[group]);
      moves |= epsilon[group] > 0;
    }
    require(moves, "estimator: epsilon is 0 for every group, so nothing moves");
    asked_lanes<Distribution> asked{step, micro_batches, std::vector<perturbation>(difference.lanes(directions)),
                                    distribution, median_bound == 0};
    difference.place(directions_of(step), asked.points);
    return asked;
  }

  /// The estimate that the losses of step `step` lead to, now or much later. Rejected where one of them is not
  /// finite, or so far from the others that the square of the difference is not. Throws value_error for a table of
  /// another shape, or one that still lacks a loss.
  [[nodiscard]] estimate<Distribution> tell(std::uint32_t step, const loss_table& losses) const {
    const auto asked = ask(step);
    require_answers(asked, losses);
    require(losses.complete() || (asked.any_loss_spoils && losses.spoiled()),
            "estimator: a loss of step {} is missing", step);
    return estimate_from(asked, losses);
  }
  /// The same from the losses that are there, for a step that goes on without the others. A direction's half
  /// difference is its mean over the micro-batches on which all of its lanes have a loss (all lanes of the step,
  /// where the difference is not separable). Directions that have none stay at 0, and the others count for them:
  /// theirs are multiplied by the number of all directions over that of those that have one, so that the step moves
  /// along the mean over these. `absent` lists what is missing. Rejected where nothing is left.
  [[nodiscard]] estimate<Distribution> tell_arrived(std::uint32_t step, const loss_table& losses) const {
    const auto asked = ask(step);
    require_answers(asked, losses);
    return estimate_from(asked, losses);
  }

  /// Asks, evaluates, tells, or has an objective that shares its losses with others do so. Never moves a parameter.
  template <class Objective>
    requires objective<Objective, Distribution> || shared_objective<Objective, estimator>
  [[nodiscard]] estimate<Distribution> operator()(std::uint32_t step, Objective&& loss) const {
    if constexpr (shared_objective<Objective, estimator>)
      return loss.measure(*this, step);
    else
      return tell(step, evaluate(loss, ask(step)));
  }

 private:
  [[nodiscard]] std::vector<perturbation> directions_of(std::uint32_t step) const {
    std::vector<perturbation> along(directions);
    for (std::uint32_t i = 0; i != directions; ++i) along[i] = {{seed, step, i}, epsilon};
    return along;
  }
  void require_answers(const asked_lanes<Distribution>& asked, const loss_table& losses) const {
    require(losses.lanes() == asked.size() && losses.micro_batches() == micro_batches,
            "estimator: losses of {} lanes on {} micro-batches were told, but step {} has {} lanes on {}",
            losses.lanes(), losses.micro_batches(), asked.step, asked.size(), micro_batches);
  }
  [[nodiscard]] estimate<Distribution> estimate_from(const asked_lanes<Distribution>& asked,
                                                     const loss_table& losses) const {
    estimate<Distribution> result{{.seed = seed, .step = asked.step, .epsilon = epsilon}, distribution};
    if (asked.any_loss_spoils && losses.spoiled()) return result;
    std::vector<double> slopes = slopes_of(asked.step, losses);
    for (std::uint32_t pair = 0; pair != slopes.size(); ++pair)
      if (std::isnan(slopes[pair])) result.absent.push_back(pair);
    if (result.absent.size() == slopes.size()) return result;
    const double bound = bound_on(slopes);
    summarize_losses(asked.points, losses, slopes, bound, result);
    for (double& slope : slopes) slope = std::isnan(slope) ? slope : std::clamp(slope, -bound, bound);
    average(slopes, result);
    return result;
  }
  /// Whether the losses of a direction on a micro-batch are there.
  [[nodiscard]] bool is_told(std::uint32_t direction, std::uint32_t m, const loss_table& losses) const {
    const std::size_t joined = separable_difference<Difference> ? joined_lanes<Difference> : losses.lanes();
    const std::size_t first = separable_difference<Difference> ? direction * joined : 0;
    for (std::size_t lane = first; lane != first + joined; ++lane)
      if (!losses.has(lane, m) || !std::isfinite(static_cast<float>(losses(lane, m)))) return false;
    return true;
  }
  /// [directions, micro_batches]; NaN where losses are missing.
  [[nodiscard]] std::vector<double> slopes_of(std::uint32_t step, const loss_table& losses) const {
    const std::vector<perturbation> along = directions_of(step);
    std::vector<double> of_directions(directions), all(directions * micro_batches);
    for (std::uint32_t m = 0; m != micro_batches; ++m) {
      difference.half_differences(along, losses.of(m), of_directions);
      for (std::uint32_t i = 0; i != directions; ++i) {
        double& slope = all[i * micro_batches + m];
        slope = of_directions[i];
        if (!is_told(i, m, losses))
          slope = std::numeric_limits<double>::quiet_NaN();
        else if (std::isnan(slope))
          slope = std::numeric_limits<double>::infinity();  // which rejects the step
      }
    }
    return all;
  }
  /// How large a slope may be.
  [[nodiscard]] double bound_on(std::span<const double> slopes) const {
    if (median_bound == 0) return std::numeric_limits<double>::infinity();
    std::vector<double> magnitudes;
    for (const double slope : slopes)
      if (!std::isnan(slope)) magnitudes.push_back(std::abs(slope));
    const auto median = magnitudes.begin() + static_cast<std::ptrdiff_t>(magnitudes.size() / 2);
    std::ranges::nth_element(magnitudes, median);
    return double{median_bound} * *median;
  }
  /// The mean over all lanes, and the standard deviation over those that move, of what is told and within the bound.
  void summarize_losses(std::span<const perturbation> lanes, const loss_table& losses, std::span<const double> slopes,
                        double bound, measurement& to) const {
    double total = 0;
    std::size_t counted = 0;
    std::vector<double> of_lanes(lanes.size());
    std::vector<std::uint32_t> times(lanes.size());
    const auto counts = [&](std::size_t lane, std::uint32_t m) {
      const std::size_t direction = separable_difference<Difference> ? lane / joined_lanes<Difference> : 0;
      return std::abs(slopes[direction * micro_batches + m]) <= bound;
    };
    for (std::uint32_t m = 0; m != micro_batches; ++m)
      for (std::size_t lane = 0; lane != lanes.size(); ++lane) times[lane] += counts(lane, m);
    for (std::uint32_t m = 0; m != micro_batches; ++m)
      for (std::size_t lane = 0; lane != lanes.size(); ++lane) {
        if (!counts(lane, m)) continue;
        total += losses(lane, m);
        of_lanes[lane] += losses(lane, m) / times[lane];
        ++counted;
      }
    to.loss = total / static_cast<double>(counted);
    running_moments moving;
    for (std::size_t lane = 0; lane != lanes.size(); ++lane)
      if (times[lane] > 0 && lanes[lane].scale != per_group<float>()) moving.add(of_lanes[lane]);
    to.loss_stddev = moving.count() > 1 ? static_cast<float>(std::sqrt(moving.variance())) : 0.0f;
  }
  /// Means of slopes over the micro-batches that have them, shaped.
  void average(std::span<const double> slopes, measurement& to) const {
    std::vector<unsigned char> has(directions);
    std::uint32_t measured = 0;
    for (std::uint32_t i = 0; i != directions; ++i)
      for (const double slope : slopes.subspan(i * micro_batches, micro_batches))
        if (!std::isnan(slope) && !has[i]) has[i] = 1, ++measured;
    for (std::uint32_t i = 0; i != directions; ++i)
      add_direction(slopes.subspan(i * micro_batches, micro_batches), measured, to);
    if (!std::isfinite(to.signal_power) || !std::isfinite(to.total_power)) return to.half_difference.clear();
    shaping(std::span(to.half_difference), to.loss_stddev);
    if (measured == directions) return;
    const float weight = static_cast<float>(directions) / static_cast<float>(measured);
    for (std::uint32_t i = 0; i != directions; ++i)
      to.half_difference[i] = has[i] ? weight * to.half_difference[i] : 0.0f;
  }
  void add_direction(std::span<const double> of_micro_batch, std::uint32_t measured, measurement& to) const {
    double n = 0, sum = 0, squares = 0;
    for (const double s : of_micro_batch)
      if (!std::isnan(s)) n += 1, sum += s, squares += s * s;
    if (n == 0) return to.half_difference.push_back(0);
    const double mean = sum / n, agreed = n > 1 ? (sum * sum - squares) / (n * (n - 1)) : mean * mean;
    to.signal_power += static_cast<float>(agreed / measured);
    to.total_power += static_cast<float>(mean * mean / measured);
    const auto half_difference = static_cast<float>(mean);
    to.half_difference.push_back(clip > 0 ? std::clamp(half_difference, -clip, clip) : half_difference);
  }
};

}  // namespace zoqat::zo

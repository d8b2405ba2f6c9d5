// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Perturbation scales ε per group, chosen so that each group contributes equally to the total loss increase
/// (L⁺ + L⁻)/2 − L⁰, and what they do when all groups move at once.
struct balanced_scales {
  per_group<float> epsilon{};  ///< 0 for groups without parameters
  double loss_increase = 0;    ///< measured at these ε, all groups together; what was aimed at may be another figure
  double aimed_increase = 0;   ///< all groups together
  double loss = 0;             ///< L⁰, at the masters
  per_group<double> count{};   ///< parameters in each group that moves
  per_group<bool> at_bound{};  ///< ε of the group stopped at a bound of the options, short of its share
  /// Of the directions along which they were measured, by its name(): steps along others are refused (zo::plan).
  std::string_view distribution{};
};

struct balance_options {
  double relative_loss_increase = 0.05;                 ///< of all groups together, relative to the loss at the start
  per_group<bool> groups = per_group<bool>::all(true);  ///< which groups take part
  std::uint32_t probes = 8;  ///< directions per measurement, each on data of its own if the objective selects some
  std::uint32_t rounds = 3;  ///< measurements of a group, each correcting ε by a square root, to a quarter or twice
  std::uint32_t most_rounds = 12;  ///< where ε is still far off after `rounds`
  /// Where to begin and what to keep to, in units of the parameters. Weights without units begin at `first_epsilon`
  /// times their root mean square and may go up to that; they have no smallest ε.
  float first_epsilon = 0.02f;
  float smallest_epsilon = 0.004f;  ///< what rounding costs does not shrink with ε, and must not drive it to nothing
  float largest_epsilon = 0.1f;     ///< a measurement lost in noise must not send a group far away
  std::uint64_t seed = 0;
};

namespace detail {

/// What ε of a group may be.
struct epsilon_bounds {
  float first, smallest, largest;
};

/// Σ x² over the masters of a tensor.
[[nodiscard]] inline double sum_of_squares(const parameter& p) {
  double squares = 0;
  for_each_chunk<simd::default_kernels>(p, 0, p.size(), [&](std::size_t, std::size_t n, const float* values) {
    for (std::size_t i = 0; i != n; ++i) squares += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  });
  return squares;
}

/// The bounds of weights without units follow from their size: such weights are as large or small as their engine
/// made them, and only the quantizers of the others have a step that ε must not fall far below.
template <parameter_store Store>
[[nodiscard]] epsilon_bounds bounds_of_weights(Store& parameters, const balance_options& options) {
  const parameter *with_unit = nullptr, *without = nullptr;
  std::array<parameter, 2> found;
  double squares = 0, count = 0;
  parameters.for_each_parameter([&](const parameter& p) {
    if (p.group != parameter_group::weight) return;
    if (!p.unit.empty()) {
      with_unit = &(found[0] = p);
      return;
    }
    without = &(found[1] = p);
    squares += sum_of_squares(p);
    count += static_cast<double>(p.size());
  });
  require(!with_unit || !without,
          "balance: weight '{}' has units and weight '{}' has none, so one epsilon cannot be "
          "right for both; give all of them units, or none",
          with_unit ? with_unit->name : "", without ? without->name : "");
  if (!without) return {options.first_epsilon, options.smallest_epsilon, options.largest_epsilon};
  constexpr float any = std::numeric_limits<float>::max(), tiny = 1e-20f;
  if (squares == 0) return {options.first_epsilon, tiny, any};
  const auto size = static_cast<float>(std::sqrt(squares / count));
  return {size * options.first_epsilon, tiny, size};
}

/// The loss increase of an objective along random directions: a probe has three lanes on the same data, both ways and
/// the masters.
template <class Objective, class Distribution>
class increase_probe {
 public:
  increase_probe(Objective& loss, const Distribution& distribution, const balance_options& options)
      : loss_(loss), distribution_(distribution), options_(options) {}

  /// The mean over `options.probes` directions.
  [[nodiscard]] double operator()(const per_group<float>& epsilon) {
    double mean = 0;
    loss_at_masters_ = 0;
    for (std::uint32_t i = 0; i != options_.probes; ++i) mean += once(epsilon) / options_.probes;
    return mean;
  }
  /// L⁰ on the data of the last measurement.
  [[nodiscard]] double loss_at_masters() const noexcept { return loss_at_masters_; }

 private:
  double once(const per_group<float>& epsilon) {
    if constexpr (requires { loss_.select(step_); })
      loss_.select(step_);  // or one batch's peculiarities would decide
    const direction along{options_.seed, step_++, 0};
    std::array<perturbation, 3> lanes{{{along, epsilon}, {}, {along, {}}}};
    lanes[1] = -lanes[0];
    std::array<double, 3> losses{};
    loss_(lane_points<Distribution>{lanes, distribution_}, std::size_t{0}, std::span<double>(losses));
    for (const double value : losses)
      require(std::isfinite(value), "balance: the loss of step {}, micro-batch 0, is {}; it must be finite",
              along.step, value);
    loss_at_masters_ += losses[2] / options_.probes;
    return (losses[0] + losses[1]) / 2 - losses[2];
  }

  Objective& loss_;
  const Distribution& distribution_;
  const balance_options& options_;
  std::uint32_t step_ = 0;
  double loss_at_masters_ = 0;
};

/// Changes ε so that the increase becomes `aim`; returns whether it was within a third of it already. A probe that
/// raises nothing says only that ε is too small.
[[nodiscard]] inline bool correct(float& epsilon, double measured, double aim,
                                  const epsilon_bounds& bounds) noexcept {
  const double ratio = std::sqrt(aim / std::max(measured, 1e-12 * aim));
  epsilon = std::clamp(epsilon * static_cast<float>(std::clamp(ratio, 0.25, 2.0)), bounds.smallest, bounds.largest);
  return ratio > 2.0 / 3 && ratio < 1.5;
}

}  // namespace detail

/// Measures second differences of the objective along random directions, group by group, and balances the groups;
/// then measures what all of them do together, and corrects that too. A group whose ε is to be small because its
/// parameters are many or strong gets just that; nothing has to be set by hand for another model or another number of
/// bits. Cost: about (groups · rounds + 2) · probes · 3 evaluations, up to four times that where the first ε is far
/// off. Throws value_error for a loss at the masters that is zero, since increases are relative to it, or that is not
/// finite, and for weights of which only some have units.
template <parameter_store Store, class Objective, distribution Distribution>
  requires objective<Objective, Distribution>
[[nodiscard]] balanced_scales balance(Store& parameters, Objective& loss, const Distribution& distribution,
                                      const balance_options& options = {}) {
  require(options.probes > 0 && options.rounds > 0, "balance: {} probes in {} rounds; both must be at least 1",
          options.probes, options.rounds);
  balanced_scales result{.distribution = distribution.name()};
  parameters.for_each_parameter([&](const parameter& p) {
    if (options.groups[p.group]) result.count[p.group] += static_cast<double>(p.size());
  });
  detail::increase_probe<Objective, Distribution> probe(loss, distribution, options);
  static_cast<void>(probe({}));
  result.loss = probe.loss_at_masters();
  result.aimed_increase = options.relative_loss_increase * std::abs(result.loss);
  require(result.aimed_increase > 0, "balance: {} times a loss of {} is no increase to aim at",
          options.relative_loss_increase, result.loss);
  const auto groups = std::ranges::count_if(all_parameter_groups, [&](auto g) { return result.count[g] > 0; });
  const double share = result.aimed_increase / static_cast<double>(groups);
  const detail::epsilon_bounds of_weights = detail::bounds_of_weights(parameters, options);
  const auto bounds = [&](parameter_group group) {
    return group == parameter_group::weight
               ? of_weights
               : detail::epsilon_bounds{options.first_epsilon, options.smallest_epsilon, options.largest_epsilon};
  };
  for (const parameter_group group : all_parameter_groups) {
    if (result.count[group] == 0) continue;
    float& epsilon = result.epsilon[group] = bounds(group).first;
    for (std::uint32_t round = 0; round < std::max(options.rounds, options.most_rounds); ++round) {
      per_group<float> alone;
      alone[group] = epsilon;
      const float before = epsilon;
      const bool close = detail::correct(epsilon, probe(alone), share, bounds(group));
      if (round + 1 >= options.rounds && (close || epsilon == before)) break;
    }
    result.at_bound[group] = epsilon <= bounds(group).smallest || epsilon >= bounds(group).largest;
  }
  for (std::uint32_t round = 0;; ++round) {
    result.loss_increase = probe(result.epsilon);
    float factor = 1;
    if (detail::correct(factor, result.loss_increase, result.aimed_increase, {1, 0.25f, 2}) || round == 3)
      return result;
    for (const parameter_group group : all_parameter_groups)
      if (result.epsilon[group] > 0)
        result.epsilon[group] =
            std::clamp(result.epsilon[group] * factor, bounds(group).smallest, bounds(group).largest);
  }
}

/// Balanced scales apportioned anew, at the same loss increase, for the least error where most of a half difference
/// is what rounding makes of it, as at a few bits. That part, σ², does not follow ε, and puts an error of d_k σ² /
/// ε_k² into a group of d_k elements. With increases h_k ε_k² of a given sum the whole error is least where ε_k² ∝
/// √(d_k / h_k), and is then (Σ √(d_k h_k))² instead of groups · Σ d_k h_k: groups of many elements move further than
/// balanced ones, groups of few less. For slopes without noise see `best_scales`. ε keeps to the bounds in `options`;
/// the increase is measured again.
template <class Objective, distribution Distribution>
  requires objective<Objective, Distribution>
[[nodiscard]] balanced_scales for_least_error(const balanced_scales& balanced, Objective& loss,
                                              const Distribution& distribution, const balance_options& options = {}) {
  double groups = 0, sum = 0;  // in a balanced group h_k is a share of the increase over ε_k²
  for (const parameter_group group : all_parameter_groups)
    if (balanced.epsilon[group] > 0)
      ++groups, sum += std::sqrt(balanced.count[group]) / static_cast<double>(balanced.epsilon[group]);
  balanced_scales result = balanced;
  for (const parameter_group group : all_parameter_groups) {
    const auto before = static_cast<double>(balanced.epsilon[group]);
    if (before == 0) continue;
    const double best = std::sqrt(groups / sum * before * std::sqrt(balanced.count[group]));
    result.epsilon[group] = std::clamp(static_cast<float>(best), options.smallest_epsilon, options.largest_epsilon);
  }
  result.loss_increase = detail::increase_probe<Objective, Distribution>(loss, distribution, options)(result.epsilon);
  return result;
}

}  // namespace zoqat::zo

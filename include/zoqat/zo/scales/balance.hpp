// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Perturbation scales ε, one for each group, chosen so that each group contributes equally to the total increase of
/// the loss, (L⁺ + L⁻) / 2 − L⁰, which is `elevation`.
struct balanced_scales {
  per_group<float> epsilon;      ///< 0 for groups without parameters
  double elevation = 0;          ///< of all groups together
  double loss = 0;               ///< L⁰, at the masters
  per_group<double> elements{};  ///< parameters in each group that moves
};

struct balance_options {
  double relative_elevation = 0.05;                     ///< of all groups together, relative to the loss at the start
  per_group<bool> groups = per_group<bool>::all(true);  ///< which groups take part
  std::uint32_t probes = 8;  ///< directions per measurement, each on data of its own if the objective selects some
  std::uint32_t rounds = 3;  ///< measurements, each correcting ε by a square root, at most to a quarter or twice
  float first_epsilon = 0.02f;
  float smallest_epsilon = 0.004f;  ///< what rounding costs does not shrink with ε, and must not drive it to nothing
  float largest_epsilon = 0.1f;     ///< a measurement lost in noise must not send a group far away
  std::uint64_t seed = 0;
};

/// Measures second differences of the objective along random directions, group by group, and balances the groups.
/// A group whose ε is to be small because its parameters are many or strong gets just that; nothing has to be set by
/// hand for another model or another number of bits. Cost: (groups · rounds + 1) · probes · 3 evaluations. Throws
/// value_error for a loss at the masters that is zero, since elevations are relative to it, or that is not finite.
template <parameter_store Store, objective Objective>
[[nodiscard]] balanced_scales balance(Store& parameters, Objective&& loss, const balance_options& options) {
  require(options.probes > 0 && options.rounds > 0, "balance: {} probes in {} rounds; both must be at least 1",
          options.probes, options.rounds);
  balanced_scales result;
  parameters.for_each_parameter([&](const parameter& p) {
    if (options.groups[p.group]) result.elements[p.group] += static_cast<double>(p.size());
  });
  // Three lanes of a direction: both ways, and the masters for L⁰ on the same data.
  const auto probe = [&](const per_group<float>& epsilon, std::uint32_t step) {
    if constexpr (requires { loss.select(step); }) loss.select(step);  // or one batch's peculiarities would decide
    perturbation lanes[3] = {{{options.seed, step, 0}, epsilon}, {}, {{options.seed, step, 0}, {}}};
    lanes[1] = -lanes[0];
    double losses[3];
    loss(std::span<const perturbation>(lanes), std::size_t{0}, std::span<double>(losses));
    for (const double value : losses) require(std::isfinite(value), "balance: the loss is {}", value);
    return std::pair((losses[0] + losses[1]) / 2 - losses[2], losses[2]);
  };
  std::uint32_t step = 0;
  for (; step != options.probes; ++step) result.loss += probe({}, step).second / options.probes;
  result.elevation = options.relative_elevation * std::abs(result.loss);
  require(result.elevation > 0, "balance: {} times a loss of {} is no elevation to aim at",
          options.relative_elevation, result.loss);
  const auto groups = std::ranges::count_if(all_parameter_groups, [&](auto g) { return result.elements[g] > 0; });
  for (const parameter_group group : all_parameter_groups) {
    if (result.elements[group] == 0) continue;
    float epsilon = options.first_epsilon;
    for (std::uint32_t round = 0; round != options.rounds; ++round) {
      double measured = 0;
      per_group<float> alone;
      alone[group] = epsilon;
      for (std::uint32_t i = 0; i != options.probes; ++i) measured += probe(alone, step++).first / options.probes;
      // A probe that raises nothing says only that ε is too small.
      const double ratio = std::sqrt(result.elevation / static_cast<double>(groups) / std::max(measured, 1e-12));
      epsilon = std::clamp(epsilon * static_cast<float>(std::clamp(ratio, 0.25, 2.0)), options.smallest_epsilon,
                           options.largest_epsilon);
    }
    result.epsilon[group] = epsilon;
  }
  return result;
}

/// Balanced scales apportioned anew, at the same elevation, for the least error where most of a slope is what
/// rounding makes of it, as at a few bits. That part, σ², does not follow ε, and puts an error of d_k σ² / ε_k² into
/// a group of d_k elements. With elevations h_k ε_k² of a given sum the whole error is least where ε_k² ∝ √(d_k /
/// h_k), and is then (Σ √(d_k h_k))² instead of groups · Σ d_k h_k: groups of many elements move further than
/// balanced ones, groups of few less. For slopes without noise see `best_scales`. ε keeps to the bounds in `options`.
[[nodiscard]] inline balanced_scales for_least_error(const balanced_scales& balanced,
                                                     const balance_options& options = {}) {
  double groups = 0, sum = 0;  // in a balanced group h_k is a share of the elevation over ε_k²
  for (const parameter_group group : all_parameter_groups)
    if (balanced.epsilon[group] > 0)
      ++groups, sum += std::sqrt(balanced.elements[group]) / static_cast<double>(balanced.epsilon[group]);
  balanced_scales result = balanced;
  result.elevation = 0;
  for (const parameter_group group : all_parameter_groups) {
    const auto before = static_cast<double>(balanced.epsilon[group]);
    if (before == 0) continue;
    const double best = std::sqrt(groups / sum * before * std::sqrt(balanced.elements[group]));
    result.epsilon[group] = std::clamp(static_cast<float>(best), options.smallest_epsilon, options.largest_epsilon);
    result.elevation +=
        balanced.elevation / groups * std::pow(static_cast<double>(result.epsilon[group]) / before, 2);
  }
  return result;
}

}  // namespace zoqat::zo

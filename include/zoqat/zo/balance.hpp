// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/parameter.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/group_scales.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::zo {

/// What perturbations of a chosen size cost: ε for each group such that moving all groups raises the loss by
/// `elevation`, (L⁺ + L⁻) / 2 − L⁰, to which each adds the same.
struct balanced_scales {
  per_group<float> epsilon;      ///< 0 for groups without parameters
  double elevation = 0;          ///< of all groups together
  double loss = 0;               ///< L⁰, at the masters
  per_group<double> elements{};  ///< parameters in each group that moves
  per_group<double> gradient{};  ///< root mean square of (L⁺ − L⁻) / 2ε in each: ‖g‖ with the noise of the data
};

struct balance_options {
  double relative_elevation = 0.05;  ///< of all groups together, relative to the loss at the start
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
    struct probed {
      double elevation, slope, loss;
    };
    return probed{(losses[0] + losses[1]) / 2 - losses[2], (losses[0] - losses[1]) / 2, losses[2]};
  };
  std::uint32_t step = 0;
  for (; step != options.probes; ++step) result.loss += probe({}, step).loss / options.probes;
  result.elevation = options.relative_elevation * std::abs(result.loss);
  require(result.elevation > 0, "balance: {} times a loss of {} is no elevation to aim at",
          options.relative_elevation, result.loss);
  const auto groups = std::ranges::count_if(all_parameter_groups, [&](auto g) { return result.elements[g] > 0; });
  for (const parameter_group group : all_parameter_groups) {
    if (result.elements[group] == 0) continue;
    float epsilon = options.first_epsilon;
    for (std::uint32_t round = 0; round != options.rounds; ++round) {
      double measured = 0, power = 0;
      per_group<float> alone;
      alone[group] = epsilon;
      for (std::uint32_t i = 0; i != options.probes; ++i) {
        const auto [elevation, slope, loss_there] = probe(alone, step++);
        measured += elevation / options.probes;
        power += slope * slope / options.probes;
      }
      result.gradient[group] = std::sqrt(power) / static_cast<double>(epsilon);
      // A probe that raises nothing says only that ε is too small.
      const double ratio = std::sqrt(result.elevation / static_cast<double>(groups) / std::max(measured, 1e-12));
      epsilon = std::clamp(epsilon * static_cast<float>(std::clamp(ratio, 0.25, 2.0)), options.smallest_epsilon,
                           options.largest_epsilon);
    }
    result.epsilon[group] = epsilon;
  }
  return result;
}

/// Balanced scales apportioned anew for the least error of the gradient's estimate (`best_scales`), at about the same
/// elevation: weak groups, which are hardest to hear beside the others, move further, strong ones less. A group whose
/// slopes were all zero stays as it is. ε keeps to the bounds in `options`.
[[nodiscard]] inline balanced_scales for_least_error(const balanced_scales& balanced,
                                                     const balance_options& options = {}) {
  per_group<double> heard;
  double groups = 0;
  for (const parameter_group group : all_parameter_groups) {
    if (balanced.gradient[group] > 0) heard[group] = balanced.elements[group];
    if (balanced.epsilon[group] > 0) ++groups;
  }
  const per_group<float> best = best_scales(heard, balanced.gradient, 1);
  // Each group added the same at its balanced ε; what it adds follows ε².
  const auto risen = [&](parameter_group group, float epsilon) {
    return balanced.elevation / groups * std::pow(static_cast<double>(epsilon / balanced.epsilon[group]), 2);
  };
  double available = 0, asked = 0;
  for (const parameter_group group : all_parameter_groups)
    if (heard[group] > 0) available += balanced.elevation / groups, asked += risen(group, best[group]);
  balanced_scales result = balanced;
  result.elevation = 0;
  for (const parameter_group group : all_parameter_groups) {
    if (heard[group] > 0)
      result.epsilon[group] = std::clamp(best[group] * static_cast<float>(std::sqrt(available / asked)),
                                         options.smallest_epsilon, options.largest_epsilon);
    if (result.epsilon[group] > 0) result.elevation += risen(group, result.epsilon[group]);
  }
  return result;
}

}  // namespace zoqat::zo

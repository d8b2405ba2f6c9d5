// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/schedule.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::zo {

/// What perturbations of a chosen size cost: ε for each group such that moving the group alone raises the loss by the
/// same `elevation`, (L⁺ + L⁻) / 2 − L⁰.
struct balanced_scales {
  per_group<float> epsilon;  ///< 0 for groups without parameters
  double elevation = 0;      ///< of each group
  double loss = 0;           ///< L⁰, at the masters
  [[nodiscard]] std::size_t groups() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(all_parameter_groups, [&](auto g) { return epsilon[g] > 0; }));
  }
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
  per_group<bool> present;
  parameters.for_each_parameter([&](const parameter& p) { present[p.group] |= p.size() != 0; });
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
  balanced_scales result;
  std::uint32_t step = 0, groups = 0;
  for (; step != options.probes; ++step) result.loss += probe({}, step).second / options.probes;
  for (const parameter_group group : all_parameter_groups) groups += present[group] && options.groups[group];
  result.elevation = options.relative_elevation * std::abs(result.loss) / std::max(groups, 1u);
  require(result.elevation > 0, "balance: {} times a loss of {} is no elevation to aim at",
          options.relative_elevation, result.loss);
  for (const parameter_group group : all_parameter_groups) {
    if (!present[group] || !options.groups[group]) continue;
    float epsilon = options.first_epsilon;
    for (std::uint32_t round = 0; round != options.rounds; ++round) {
      double measured = 0;
      per_group<float> alone;
      alone[group] = epsilon;
      for (std::uint32_t i = 0; i != options.probes; ++i) measured += probe(alone, step++).first / options.probes;
      // A probe that raises nothing says only that ε is too small.
      const double ratio = std::sqrt(result.elevation / std::max(measured, 1e-12));
      epsilon = std::clamp(epsilon * static_cast<float>(std::clamp(ratio, 0.25, 2.0)), options.smallest_epsilon,
                           options.largest_epsilon);
    }
    result.epsilon[group] = epsilon;
  }
  return result;
}

/// How much of the measured slopes' power is signal, as running means over about a hundred steps. What the
/// micro-batches of a step agree on is signal; the rest is noise of the data and of rounding, and a step in
/// proportion to it is a random walk.
class signal_gauge {
 public:
  void observe(float agreed_power, float power) noexcept {
    ++steps_;
    const double weight = std::max(0.01, 1.0 / static_cast<double>(steps_));
    agreed_ += (static_cast<double>(agreed_power) - agreed_) * weight;
    power_ += (static_cast<double>(power) - power_) * weight;
  }
  /// In [0.1, 1], and at most 0.3 while fewer than twenty steps were seen, when the ratio is itself mostly noise.
  [[nodiscard]] double fraction() const noexcept {
    constexpr double least = 0.1, most_at_first = 0.3;
    const double most = steps_ < 20 ? most_at_first : 1.0;
    return power_ > 0 ? std::clamp(agreed_ / power_, least, most) : most;
  }
  /// Root mean square of the slopes; 0 before anything was seen.
  [[nodiscard]] double rms() const noexcept { return std::sqrt(power_); }

 private:
  std::uint64_t steps_ = 0;
  double agreed_ = 0, power_ = 0;
};

/// The step to the bottom of the parabola through the points of an antithetic pair: along v = Σ ε_k u_k the loss
/// rises by slope · t + elevation · t², so the best t is −slope / (2 · elevation). A fraction `trust` of it, times
/// the schedule and the part of the slope that is signal, is taken. Free of units: balanced ε and the measured
/// elevation take the place of a learning rate for each group.
template <schedule Schedule = linear_decay>
struct parabolic {
  balanced_scales scales;
  double trust = 0.6;
  double outlier = 3;  ///< slopes are bounded at this many times their root mean square
  double reach = 0.25;  ///< no step goes further than this many times the perturbation that measured it
  Schedule schedule{};
  signal_gauge gauge{};

  /// The update an estimate leads to, and its mark on the gauge.
  [[nodiscard]] update plan(const estimate& e) {
    update u = update::along(e);
    if (e.rejected()) return u;
    const double elevation = scales.elevation * static_cast<double>(scales.groups());
    require(elevation > 0, "parabolic: no group moves; `scales` is what zo::balance measures");
    replay(u);
    const double factor = trust * schedule(e.step) * gauge.fraction() / (2 * elevation);
    const auto bound = static_cast<float>(std::min(outlier * gauge.rms(), factor > 0 ? reach / factor : 0.0));
    for (float& slope : u.slope) slope = std::clamp(slope, -bound, bound);
    for (const parameter_group group : all_parameter_groups)
      u.gain[group] = static_cast<float>(factor * static_cast<double>(scales.epsilon[group]));
    return u;
  }
  /// Brings the gauge to where it was after an update that is in a log.
  void replay(const update& u) noexcept {
    if (!u.slope.empty()) gauge.observe(u.agreed_power, u.power);
  }
};

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/optimizers/schedule.hpp>
#include <zoqat/zo/scales/balance.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

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
  double outlier = 3;   ///< slopes are bounded at this many times their root mean square
  double reach = 0.25;  ///< no step goes further than this many times the perturbation that measured it
  Schedule schedule{};
  signal_gauge gauge{};

  /// The update an estimate leads to, and its mark on the gauge.
  [[nodiscard]] update plan(const estimate& e) {
    update u = update::along(e);
    if (e.rejected()) return u;
    require(scales.elevation > 0, "parabolic: no group moves; `scales` is what zo::balance measures");
    replay(u);
    const double factor = trust * schedule(e.step) * gauge.fraction() / (2 * scales.elevation);
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

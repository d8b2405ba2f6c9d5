// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/optimizer.hpp>
#include <zoqat/zo/optimizers/schedule.hpp>
#include <zoqat/zo/scales/balance.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Tracks how much of the measured power is signal, as running means over about a hundred steps. What the
/// micro-batches of a step agree on is signal; the rest is noise of the data and of rounding, and a step in
/// proportion to it is a random walk.
class signal_to_noise_tracker {
 public:
  void observe(float signal_power, float total_power) noexcept {
    ++steps_;
    const double weight = std::max(0.01, 1.0 / static_cast<double>(steps_));
    signal_ += (static_cast<double>(signal_power) - signal_) * weight;
    total_ += (static_cast<double>(total_power) - total_) * weight;
  }
  /// In [0.1, 1], and at most 0.3 while fewer than twenty steps were seen, when the ratio is itself mostly noise.
  [[nodiscard]] double fraction() const noexcept {
    constexpr double least = 0.1, most_at_first = 0.3;
    const double most = steps_ < 20 ? most_at_first : 1.0;
    return total_ > 0 ? std::clamp(signal_ / total_, least, most) : most;
  }
  /// Root mean square of the half differences; 0 before anything was seen.
  [[nodiscard]] double rms() const noexcept { return std::sqrt(total_); }

 private:
  std::uint64_t steps_ = 0;
  double signal_ = 0, total_ = 0;
};

/// The step to the bottom of the parabola through the points of an antithetic pair: along v = Σ ε_k u_k the loss
/// rises by half difference · t + loss increase · t², so the best t is −half difference / (2 · loss increase). A
/// fraction of it, times the schedule and the part of the power that is signal, is taken. Free of units: balanced ε
/// and the measured increase take the place of a learning rate for each group.
template <schedule Schedule = linear_decay>
struct parabolic {
  balanced_scales scales;
  double step_fraction = 0.6;    ///< part of the way to the bottom that is taken
  double clip_rms = 3;           ///< half differences are bounded at this many times their root mean square
  double max_step_ratio = 0.25;  ///< no step goes further than this many times the perturbation that measured it
  Schedule schedule{};
  signal_to_noise_tracker tracker{};

  /// Plans from a measurement and notes its powers. Throws value_error for scales that say of no increase at all.
  [[nodiscard]] planned_update plan(const measurement& m) {
    planned_update u = planned_update::along(m);
    if (m.rejected()) return u;
    // Where rounding hides the curvature the loss may rise by less than was aimed at, or fall: the aim is then the
    // safer figure. Where it rises by more, the steps must be shorter.
    const double increase = std::max(scales.loss_increase, scales.aimed_increase);
    require(increase > 0, "parabolic: no group raises the loss (by {}); `scales` is what zo::balance measures",
            scales.loss_increase);
    require(schedule(m.step) > 0,
            "parabolic: the schedule has come to nothing at step {}; give it the steps of the whole run", m.step);
    replay(u);
    const double factor = step_fraction * schedule(m.step) * tracker.fraction() / (2 * increase);
    const auto bound =
        static_cast<float>(std::min(clip_rms * tracker.rms(), factor > 0 ? max_step_ratio / factor : 0.0));
    for (float& half_difference : u.half_difference) half_difference = std::clamp(half_difference, -bound, bound);
    for (const parameter_group group : all_parameter_groups)
      u.gain[group] = static_cast<float>(factor * static_cast<double>(scales.epsilon[group]));
    return u;
  }
  /// Brings the tracker to where it was after an update that is in a log.
  void replay(const planned_update& u) noexcept {
    if (!u.half_difference.empty()) tracker.observe(u.signal_power, u.total_power);
  }
};

static_assert(optimizer<parabolic<>>);

}  // namespace zoqat::zo

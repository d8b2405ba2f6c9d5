// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/params/parameter.hpp>         // per_group
#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd
#include <zoqat/zo/scales/balance.hpp>        // balanced_scales

#include <utility>
#include <variant>

namespace zoqat::programs {

/// The paper's SGD, or steps to the bottom of measured parabolas: whichever the program is told of when it runs. A
/// plan is made once per step, so the choice costs nothing, and the training is compiled once for both.
struct either_optimizer {
  std::variant<zo::sgd<zo::linear_decay>, zo::parabolic<zo::linear_decay>> chosen;

  [[nodiscard]] zo::planned_update plan(const zo::measurement& m) {
    return std::visit([&](auto& optimizer) { return optimizer.plan(m); }, chosen);
  }
  void replay(const zo::planned_update& u) {
    std::visit([&](auto& optimizer) { optimizer.replay(u); }, chosen);
  }
};

/// An optimizer, and the ε that goes with it.
struct step_plan {
  either_optimizer optimizer;
  per_group<float> epsilon;
};

/// Steps to the bottom of parabolas whose curvature was measured.
[[nodiscard]] inline step_plan parabolic_plan(zo::balanced_scales scales, double step_fraction,
                                              zo::linear_decay schedule) {
  const per_group<float> epsilon = scales.epsilon;
  return {{zo::parabolic<zo::linear_decay>{
              .scales = std::move(scales), .step_fraction = step_fraction, .schedule = schedule}},
          epsilon};
}

}  // namespace zoqat::programs

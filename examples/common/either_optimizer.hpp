// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/optimizers/parabolic.hpp>  // parabolic
#include <zoqat/zo/optimizers/sgd.hpp>        // sgd

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

}  // namespace zoqat::programs

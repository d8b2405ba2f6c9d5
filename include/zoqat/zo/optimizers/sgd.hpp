// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/optimizer.hpp>
#include <zoqat/zo/optimizers/schedule.hpp>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Plain stochastic gradient descent (eq. 3) with a learning rate per group and no state at all.
template <schedule Schedule = constant>
struct sgd {
  per_group<float> learning_rate;
  Schedule schedule{};

  [[nodiscard]] planned_update plan(const measurement& m) const {
    planned_update u = planned_update::along(m);
    const auto factor = static_cast<float>(schedule(m.step));
    for (const parameter_group group : all_parameter_groups)
      if (m.epsilon[group] > 0) u.gain[group] = learning_rate[group] * factor / m.epsilon[group];
    return u;
  }
  /// There is nothing to bring back.
  void replay(const planned_update&) const noexcept {}
};

template <class... Options>
sgd(per_group<float>, Options...) -> sgd<Options...>;

static_assert(optimizer<sgd<>>);

}  // namespace zoqat::zo

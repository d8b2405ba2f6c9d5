// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/optimizers/schedule.hpp>
#include <zoqat/zo/update.hpp>

#include <utility>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Plain stochastic gradient descent (eq. 3) with a learning rate per group and no state at all.
template <schedule Schedule = constant>
struct sgd {
  per_group<float> learning_rate;
  Schedule schedule{};

  /// The update an estimate leads to. Empty for a rejected estimate.
  [[nodiscard]] update plan(const estimate& e) const {
    update u = update::along(e);
    const auto factor = static_cast<float>(schedule(e.step));
    for (const parameter_group group : all_parameter_groups)
      if (e.epsilon[group] > 0) u.gain[group] = learning_rate[group] * factor / e.epsilon[group];
    return u;
  }
  /// Nothing to bring back: there is no state.
  void replay(const update&) const noexcept {}
  /// Plans and applies.
  template <parameter_store Store, distribution Distribution = gaussian>
  void step(Store& parameters, const estimate& e, const Distribution& elements = {}) const {
    apply(elements, plan(e), parameters);
  }
};

template <class... Options>
sgd(per_group<float>, Options...) -> sgd<Options...>;

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/update.hpp>

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::zo {

/// What turns a measurement into a move: `plan(m)` returns how far the step goes along its directions, a rejected
/// measurement giving a move that leaves everything alone, and notes whatever the optimizer remembers; `replay(u)`
/// brings that memory to where it was after a move that is in a run log. It is a value: a copy plans alike, and can
/// be assigned.
template <class O>
concept optimizer =
    std::copyable<std::remove_const_t<O>> && requires(O& o, const measurement& m, const planned_update& u) {
      { o.plan(m) } -> std::same_as<planned_update>;
      o.replay(u);
    };

/// The update that an optimizer makes of an estimate, along the directions that the estimate was measured along.
/// Throws value_error where the optimizer's scales are of other directions or other perturbations.
template <optimizer Optimizer, distribution Distribution>
[[nodiscard]] update<Distribution> plan(Optimizer& optimizer, const estimate<Distribution>& e) {
  if constexpr (requires { std::string_view(optimizer.scales.distribution); })
    require(optimizer.scales.distribution.empty() || optimizer.scales.distribution == e.distribution.name(),
            "zo::plan: the scales were measured along {} directions, but the estimate is along {} ones",
            optimizer.scales.distribution, e.distribution.name());
  if constexpr (requires { per_group<float>(optimizer.scales.epsilon); })
    for (const parameter_group group : all_parameter_groups)
      require(e.epsilon[group] == 0 || e.epsilon[group] == optimizer.scales.epsilon[group],
              "zo::plan: the scales move {} by {}, but the estimate moved it by {}; give the estimator the scales' "
              "epsilon",
              parameter_group_names[static_cast<std::size_t>(group)], optimizer.scales.epsilon[group],
              e.epsilon[group]);
  return {optimizer.plan(e), e.distribution};
}

/// Plans a move that may fail before it is made: by a copy of the optimizer, which remembers the plan only once
/// `keep` is called.
template <class Optimizer>
  requires optimizer<std::remove_const_t<Optimizer>>
class tentative_plan {
 public:
  explicit tentative_plan(Optimizer& optimizer) : optimizer_(optimizer), ahead_(optimizer) {}

  /// As zo::plan does it.
  template <distribution Distribution>
  [[nodiscard]] update<Distribution> operator()(const estimate<Distribution>& e) {
    return plan(ahead_, e);
  }
  /// The move was made.
  void keep() noexcept {
    if constexpr (!std::is_const_v<Optimizer>) optimizer_ = std::move(ahead_);
  }

 private:
  Optimizer& optimizer_;
  std::remove_const_t<Optimizer> ahead_;
};

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/variance_reduction/control_variate.hpp>

#include <array>
#include <cstdint>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::zo {

/// Variance reduction by an anchor w̃, where the gradient was measured well once:
/// ĝ(w) = ĝ_B(w; u) − ĝ_B(w̃; u) + ĝ(w̃) (Johnson and Zhang, 2013). Both differences go along the same directions u
/// and see the same batch B, or they would have nothing in common (MeZO-SVRG draws new directions for the second).
/// With Gaussian directions the error of the first two is (d + 1)‖∇f_B(w) − ∇f_B(w̃)‖²/q instead of
/// (d + 1)‖∇f_B(w)‖²/q, to which that of ĝ(w̃) comes.
///
/// The anchor is an objective that reads masters of its own, a copy made when `anchor` is called; this keeps what was
/// measured there. Memory: that copy, and a float per direction of the anchor. Cost of a step: twice the lanes, and
/// the anchor's directions, which the update makes again.
template <class Estimator>
struct svrg {
  Estimator of_anchor;  ///< many directions, on many micro-batches; its seed must not be that of the steps
  Estimator of_step;
  using estimate_type = typename Estimator::estimate_type;
  estimate_type at_anchor{};

  /// Measures ĝ(w̃). Returns whether there is one: a loss that is not finite leaves what was there before.
  template <class Anchor>
  bool anchor(std::uint32_t step, Anchor& loss) {
    require(of_anchor.seed != of_step.seed, "svrg: the anchor and the steps both go along directions of seed {}",
            of_step.seed);
    estimate_type measured = of_anchor(step, loss);
    if (measured.rejected()) return false;
    at_anchor = std::move(measured);
    return true;
  }
  /// The two parts of the estimate at w: the difference of both points, and ĝ(w̃) named by its own directions. An
  /// optimizer without state plans an update for each. The first part is rejected where a loss is not finite; the
  /// second must then not be applied either. Throws value_error where there is no anchor.
  template <class Loss, class Anchor>
  [[nodiscard]] std::array<estimate_type, 2> operator()(std::uint32_t step, Loss& loss, Anchor& anchor) const {
    require(!at_anchor.rejected(), "svrg: there is no anchor; call anchor() first");
    return {of_step(step, control_variate(loss, anchor, 1, at_anchor.loss)), at_anchor};
  }
};

}  // namespace zoqat::zo

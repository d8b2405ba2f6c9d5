// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/estimator.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// The objective `loss` less `coefficient` times another one, lane by lane: at the same perturbations and on the same
/// micro-batch, so that what both have in common, such as the noise of the data, drops out of every slope. An
/// estimate of it is one of ∇loss − coefficient · ∇other: whoever adds coefficient · ∇other, known or measured better
/// than in one step, has an estimate of ∇loss whose error is that of the difference. A variate that is a poor copy
/// of the loss adds error.
///
/// `level` is added to all losses, and to no slope: with coefficient times the mean of `other` there, estimates
/// report a loss like that of `loss`. Refers to both objectives. Cost: both.
template <class Loss, class Variate>
class control_variate {
 public:
  control_variate(Loss& loss, Variate& other, double coefficient = 1, double level = 0)
      : loss_(loss), other_(other), coefficient_(coefficient), level_(level) {}

  template <distribution Distribution>
    requires objective<Loss, Distribution> && objective<Variate, Distribution>
  void operator()(const lane_points<Distribution>& lanes, std::size_t micro_batch, std::span<double> losses) {
    of_other_.resize(lanes.size());
    loss_(lanes, micro_batch, losses);
    other_(lanes, micro_batch, std::span(of_other_));
    for (std::size_t i = 0; i != losses.size(); ++i) losses[i] += level_ - coefficient_ * of_other_[i];
  }

 private:
  Loss& loss_;
  Variate& other_;
  double coefficient_, level_;
  std::vector<double> of_other_;
};

}  // namespace zoqat::zo

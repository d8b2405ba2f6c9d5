// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace zoqat::testing {

/// A problem to train on in no time: L(x) = |x|² / 2 in twenty dimensions, from a point of ones, with what a run
/// needs. An objective that notes the steps it was told of, and spoils the loss of one of them if asked to.
struct quadratic {
  std::vector<float> values = std::vector<float>(20, 1.0f);
  zo::parameter_list parameters;
  zo::estimator<zo::central, zo::rademacher> estimator{.epsilon = per_group<float>::all(1e-2f), .seed = 11};
  zo::sgd<> optimizer{.learning_rate = per_group<float>::all(1e-2f)};
  sequential threads;
  std::vector<std::uint32_t> selected;
  std::uint32_t bad_step = std::numeric_limits<std::uint32_t>::max();
  double bad_loss = 0;

  quadratic() { parameters.add("x", values); }
  quadratic(const quadratic&) = delete;
  quadratic& operator=(const quadratic&) = delete;

  void select(std::uint32_t step) { selected.push_back(step); }
  void operator()(const zo::lane_points<zo::rademacher>& points, std::size_t, std::span<double> losses) const {
    const zo::lanes<zo::rademacher> lanes(points);
    std::vector<float> x(points.size() * values.size());
    lanes.read(parameters[0], 0, values.size(), x.data());
    for (std::size_t lane = 0; lane != points.size(); ++lane)
      losses[lane] = value_at(std::span(x).subspan(lane * values.size(), values.size()));
    if (!selected.empty() && selected.back() == bad_step) losses.back() = bad_loss;
  }
  [[nodiscard]] double at_masters() const { return value_at(values); }

 private:
  static double value_at(std::span<const float> x) {
    double total = 0;
    for (const float v : x) total += 0.5 * double{v} * double{v};
    return total;
  }
};

}  // namespace zoqat::testing

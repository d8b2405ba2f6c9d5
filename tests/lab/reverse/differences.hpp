// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/operations.hpp>
#include <zoqat/lab/reverse/tape.hpp>
#include <zoqat/random/stream.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// Numbers in [-1, 1), which follow from the `name`.
inline matrix<double> random_values(std::size_t rows, std::size_t cols, std::uint32_t name) {
  rng::engine draw({.seed = 50, .tensor = name, .use = rng::purpose::data});
  matrix<double> m(rows, cols);
  for (double& x : m.flat()) x = 2 * double{draw.uniform()} - 1;
  return m;
}

using operation = std::function<lab::reverse::variable(lab::reverse::tape&, std::vector<lab::reverse::variable>)>;

/// The sum of the results of an operation, each with a weight of its own, so that no derivative hides behind another.
inline double weighted_sum(lab::reverse::tape& t, const operation& f, const std::vector<matrix<double>>& at,
                           std::vector<lab::reverse::variable>& inputs, bool differentiate) {
  for (const matrix<double>& m : at) inputs.push_back(t.input(m));
  const lab::reverse::variable made = f(t, inputs);
  const std::size_t n = made->value.size();
  const lab::reverse::variable row = lab::reverse::reshape(t, made, 1, n), weights = t.input(random_values(1, n, 99));
  const lab::reverse::variable sum = lab::reverse::product(t, row, weights);
  if (differentiate) t.backward(sum);
  return sum->value(0, 0);
}

/// Every derivative of an operation by every element of its inputs against central differences.
inline void check_derivatives(const operation& f, const std::vector<matrix<double>>& at) {
  lab::reverse::tape t;
  std::vector<lab::reverse::variable> inputs;
  weighted_sum(t, f, at, inputs, true);
  constexpr double step = 1e-5;
  for (std::size_t k = 0; k != at.size(); ++k)
    for (std::size_t i = 0; i != at[k].size(); ++i) {
      std::vector<matrix<double>> moved = at;
      double difference = 0;
      for (const double sign : {1.0, -1.0}) {
        moved[k].data()[i] = at[k].data()[i] + sign * step;
        lab::reverse::tape again;
        std::vector<lab::reverse::variable> of_again;
        difference += sign * weighted_sum(again, f, moved, of_again, false);
      }
      CAPTURE(k);
      CAPTURE(i);
      CHECK(std::abs(difference / (2 * step) - inputs[k]->gradient.data()[i]) < 1e-8);
    }
}

}  // namespace zoqat::testing

// SPDX-License-Identifier: Apache-2.0
//
// An engine that owns its weights and its loss, trained from outside: the loss must fall to a hundredth.
#include "weights.hpp"

#include <zoqat/zoqat.hpp>

#include <cstdint>
#include <cstdio>
#include <vector>

int main() {
  namespace zo = zoqat::zo;

  std::vector<float> weights = initial_weights();
  const auto loss = [&] {
    double sum = 0;
    for (const float w : weights) sum += double{w - 1} * double{w - 1};
    return sum;
  };

  zo::parameter_list parameters;
  parameters.add("weights", weights);
  const zo::estimator<zo::central, zo::gaussian> estimator{.directions = 4};
  const zo::sgd<> optimizer{.learning_rate = {.weight = 0.01f}};
  auto objective = zo::in_place(parameters, loss);
  const double before = loss();
  for (std::uint32_t step = 0; step != 500; ++step) zo::step(parameters, objective, estimator, optimizer, step);
  const double after = loss();

  std::printf("loss %g -> %g\n", before, after);
  return after < before / 100 ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
//
// Every header of the component zo, one step of it, and a kernel for the processor that runs this.
#include "dispatched.hpp"

#include <zoqat/core/core.hpp>
#include <zoqat/lab/lab.hpp>
#include <zoqat/params/params.hpp>
#include <zoqat/quant/quant.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/simd.hpp>
#include <zoqat/zo/zo.hpp>

#include <cmath>
#include <cstdlib>
#include <vector>

/// A host may use the namespace and POSIX: nothing of the library is called random.
using namespace zoqat;
long random_of_the_host() { return random(); }

int main() {
  namespace zo = zoqat::zo;
  std::vector<float> weights(8, 2.0f);
  zo::parameter_list parameters;
  parameters.add("weights", weights);
  auto objective = zo::in_place(parameters, [&] { return double{weights[0]} * double{weights[0]}; });
  zo::sgd<> optimizer{.learning_rate = {.weight = 0.01f}};
  zo::step(parameters, objective, zo::estimator<>{}, optimizer, 0);
  const float ones[] = {1, 1, 1, 1};
  const float sum = dispatch::best<dispatched>().dot(ones, ones, 4);
  return std::abs(weights[0]) < 2 && sum == 4 ? 0 : 1;
}

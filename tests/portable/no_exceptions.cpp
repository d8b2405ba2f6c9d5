// SPDX-License-Identifier: Apache-2.0

// The layers that engines embed, compiled with -fno-exceptions: core, random, simd, params, quant and zo. An error
// goes to the handler of the host. A program of its own, because of the flag; it returns 0 where all is well.

#include <zoqat/core/core.hpp>
#include <zoqat/params/params.hpp>
#include <zoqat/quant/quant.hpp>
#include <zoqat/random/random.hpp>
#include <zoqat/simd/simd.hpp>
#include <zoqat/zo/zo.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

bool trains() {
  namespace zo = zoqat::zo;
  std::vector<float> weights(64);
  const auto loss = [&] {
    double sum = 0;
    for (const float w : weights) sum += double{w - 1} * double{w - 1};
    return sum;
  };
  zo::parameter_list parameters;
  parameters.add("weights", weights);
  const zo::estimator<zo::central, zo::gaussian> estimator{.directions = 4};
  const zo::sgd<> optimizer{.learning_rate = {.weight = 0.01f}};
  const double before = loss();
  auto objective = zo::in_place(parameters, loss);
  for (std::uint32_t step = 0; step != 200; ++step) zo::step(parameters, objective, estimator, optimizer, step);
  return loss() < before / 10;
}

bool quantizes() {
  using weight = zoqat::quant::weight<4>;
  const float row[] = {-1.0f, -0.5f, 0.0f, 0.25f, 0.75f, 2.0f};
  std::uint8_t codes[6];
  zoqat::simd::grid grid;
  zoqat::quant::quantize_row<weight>(row, nullptr, codes, &grid);
  return codes[0] == 0 && codes[5] == 15;
}

bool runs_tasks() {
  std::vector<int> done(100);
  zoqat::thread_pool pool(2);
  pool.parallel_for(done.size(), [&](std::size_t i) { done[i] = 1; });
  return done == std::vector<int>(100, 1);
}

/// A handler may not return: this one ends the program as it should end.
void end_well(const char* message) {
  std::exit(std::strcmp(message, "group_size is 0, but must be positive") == 0 ? 0 : 1);
}

bool check(const char* what, bool right) {
  std::printf("%s: %s\n", what, right ? "right" : "WRONG");
  return right;
}

}  // namespace

int main() {
  const bool right[] = {check("training in place", trains()), check("quantizing a row", quantizes()),
                        check("a pool of threads", runs_tasks())};
  for (const bool each : right)
    if (!each) return 1;

  const zoqat::error_handler first = zoqat::set_error_handler(end_well);
  if (zoqat::set_error_handler(nullptr) != end_well || zoqat::set_error_handler(end_well) != first) return 1;
  zoqat::require(true, "not {}", "this");
  zoqat::require(false, "group_size is {}, but must be positive", 0);
  return 1;
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/differences/leave_one_out.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>
#include <zoqat/zo/estimator.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("a slope is the loss less the mean of the others") {
  const auto losses = [](const auto& lanes, std::size_t, std::span<double> of) {
    REQUIRE(lanes.size() == 3);
    of[0] = 10, of[1] = 13, of[2] = 1;
  };
  CHECK(estimator<leave_one_out>{.directions = 3}(0, losses).half_difference == std::vector<float>{3, 7.5f, -10.5f});
  CHECK_THROWS_AS((void)estimator<leave_one_out>{}(0, [](auto, auto, std::span<double> of) { of[0] = 1; }),
                  value_error);
}

TEST_CASE("q lanes have the error of q - 1 averaged directions, however high the loss") {
  constexpr std::size_t d = 8;
  tensors store = at_origin(d);
  const auto g = numbers(d, 20);
  const auto loss = objective_of(store, gaussian(), [&](std::span<const float> x, std::size_t) {
    double sum = 1000;
    for (std::size_t j = 0; j != d; ++j) sum += g[j] * double{x[j]};
    return sum;
  });
  for (const std::uint32_t q : {2u, 5u}) {
    const estimator<leave_one_out> e{.epsilon = {.weight = fine}, .directions = q, .seed = 4};
    gradient_moments moments;
    for (std::uint32_t step = 0; step != 20000; ++step) moments.add(gradient_of(e(step, loss), store, gaussian()));
    moments.check_mean(g);
    moments.check_power(dot(g, g) * (1 + (d + 1.0) / (q - 1)), 0.1);
  }
}

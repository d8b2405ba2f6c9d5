// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/differences/forward.hpp>

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

TEST_CASE("directions share the lane at the masters") {
  const estimator<forward> e{.epsilon = {.weight = 0.5f}, .directions = 3, .seed = 7};
  const auto result = e(9, [](const auto& lanes, std::size_t, std::span<double> losses) {
    REQUIRE(lanes.size() == 4);
    CHECK(lanes[0].scale == per_group<float>{});
    for (std::uint32_t i = 0; i != 3; ++i) {
      CHECK(lanes[i + 1].along == direction{7, 9, i});
      CHECK(lanes[i + 1].scale == per_group<float>{.weight = 0.5f});
    }
    losses[0] = 10, losses[1] = 11, losses[2] = 8, losses[3] = 10;
  });
  CHECK(result.half_difference == std::vector<float>{1, -2, 0});
}

TEST_CASE("on a quadratic the error of forward differences has a term of its curvature") {
  constexpr std::size_t d = 8;
  tensors store = at_origin(d);
  const quadratic f{numbers(d, 1), std::vector<double>(d), numbers(d, 3)};
  const auto g = f.gradient(store[0]);
  double trace = 0, squares = 0;
  for (const double h : f.h) trace += h, squares += h * h;
  const estimator<forward> e{.epsilon = {.weight = 0.5f}, .seed = 6};
  gradient_moments moments;
  for (std::uint32_t step = 0; step != 40000; ++step)
    moments.add(gradient_of(e(step, objective_of(store, gaussian(), f)), store, gaussian()));
  moments.check_mean(g);
  moments.check_power((d + 2) * dot(g, g) + 0.25 / 4 * (d + 4) * (trace * trace + 2 * squares), 0.15);
}

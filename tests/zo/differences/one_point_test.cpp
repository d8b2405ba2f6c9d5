// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/differences/one_point.hpp>

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

TEST_CASE("the error of one-point slopes on a quadratic has a term of its value") {
  constexpr std::size_t d = 8;
  constexpr double value = 0.3, epsilon = 0.5;
  tensors store = at_origin(d);
  const quadratic f{numbers(d, 1), std::vector<double>(d), numbers(d, 3)};
  const auto g = f.gradient(store[0]);
  double trace = 0, squares = 0;
  for (const double h : f.h) trace += h, squares += h * h;
  const auto loss =
      objective_of(store, gaussian(), [&](std::span<const float> x, std::size_t m) { return value + f(x, m); });
  const estimator<one_point> e{.epsilon = {.weight = epsilon}, .seed = 6};
  gradient_moments moments;
  for (std::uint32_t step = 0; step != 40000; ++step) moments.add(gradient_of(e(step, loss), store, gaussian()));
  moments.check_mean(g);
  moments.check_power(d * value * value / (epsilon * epsilon) + (d + 2) * value * trace + (d + 2) * dot(g, g) +
                          epsilon * epsilon / 4 * (d + 4) * (trace * trace + 2 * squares),
                      0.15);
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/shapings/sign_of_slope.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>
#include <zoqat/zo/estimator.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("a slope keeps its sign alone") {
  std::vector<float> slopes{3, -0.001f, 0, 1e-30f};
  sign_of_slope{.magnitude = 0.5f}(slopes, 7);
  CHECK(slopes == std::vector<float>{0.5f, -0.5f, 0, 0.5f});
}

TEST_CASE("the mean along Gaussian directions is √(2/π) g / ‖g‖, and E‖ĝ‖² is d") {
  constexpr std::size_t d = 8;
  tensors store = at_origin(d);
  const linear f{numbers(d, 20)};
  const estimator<central, gaussian, sign_of_slope> e{
      .epsilon = {.weight = fine}, .seed = 4, .shaping = {.magnitude = fine}};
  gradient_moments moments;
  for (std::uint32_t step = 0; step != 20000; ++step)
    moments.add(gradient_of(e(step, objective_of(store, gaussian(), f)), store, gaussian()));
  std::vector<double> expected;
  for (const double x : f.g) expected.push_back(std::sqrt(2 / 3.14159265358979) * x / std::sqrt(dot(f.g, f.g)));
  moments.check_mean(expected);
  moments.check_power(d, 0.03);
}

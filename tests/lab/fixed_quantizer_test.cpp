// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/fixed_quantizer.hpp>

#include <doctest/doctest.h>
#include <zoqat/lab/quantized_oracles.hpp>

#include <cmath>
#include <initializer_list>

using namespace zoqat::lab;

namespace {

/// E f(Q(w + εU)) by the midpoint rule.
template <class F>
double expectation(const fixed_quantizer& q, double w, double epsilon, F&& f) {
  constexpr double h = 1e-4;
  double sum = 0;
  for (double u = -9; u < 9; u += h) sum += f(q(w + epsilon * (u + h / 2))) * normal::density(u + h / 2);
  return sum * h;
}

}  // namespace

TEST_CASE("rounds half to even, clamps, and leaves everything alone without a step") {
  const fixed_quantizer q{.step = 0.5, .low = -2, .high = 3};
  CHECK(q(0.25) == 0);
  CHECK(q(0.75) == 1);
  CHECK(q(-0.3) == -0.5);
  CHECK(q(9) == 1.5);
  CHECK(q(-9) == -1);
  CHECK(q.straight_through(1.7) == 1);  // code 3
  CHECK(q.straight_through(1.8) == 0);  // code 4
  CHECK(q.straight_through(-1.3) == 0);
  CHECK(fixed_quantizer{}(0.123) == 0.123);
  CHECK(fixed_quantizer{}.straight_through(1e9) == 1);
}

TEST_CASE("the smoothed weight has the moments that quadrature gives, clamped or not") {
  const fixed_quantizer open{.step = 0.5}, clamped{.step = 0.5, .low = -1, .high = 2}, none{};
  for (const fixed_quantizer& q : {open, clamped, none})
    for (const double epsilon : {0.05, 0.3, 2.0})
      for (const double w : {-3.0, -0.25, 0.1, 0.6, 4.0}) {
        CAPTURE(epsilon);
        CAPTURE(w);
        const smoothed_weight s = smoothed_weight::of(q, w, epsilon);
        CHECK(s.mean == doctest::Approx(expectation(q, w, epsilon, [](double x) { return x; })).epsilon(1e-3));
        CHECK(s.square == doctest::Approx(expectation(q, w, epsilon, [](double x) { return x * x; })).epsilon(1e-3));
      }
}

TEST_CASE("its slopes are its derivatives") {
  const fixed_quantizer q{.step = 0.5, .low = -3, .high = 4};
  for (const double epsilon : {0.05, 0.3})
    for (const double w : {-1.6, -0.2, 0.0, 0.26, 1.9}) {
      const double h = 1e-6;
      const smoothed_weight s = smoothed_weight::of(q, w, epsilon), above = smoothed_weight::of(q, w + h, epsilon),
                            below = smoothed_weight::of(q, w - h, epsilon);
      CHECK(s.mean_slope == doctest::Approx((above.mean - below.mean) / (2 * h)).scale(1).epsilon(1e-7));
      CHECK(s.square_slope == doctest::Approx((above.square - below.square) / (2 * h)).scale(1).epsilon(1e-7));
      CHECK(s.variance_slope() ==
            doctest::Approx((above.variance() - below.variance()) / (2 * h)).scale(1).epsilon(1e-7));
    }
}

TEST_CASE("without bounds the slope is the comb") {
  for (const double w : {-7.3, 0.0, 0.24, 0.25})
    CHECK(smoothed_weight::of({.step = 0.5}, w, 0.1).mean_slope ==
          doctest::Approx(oracle::quantized_gradient_comb(1, w, 0.5, 0.1)).epsilon(1e-12));
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/normal.hpp>

#include <doctest/doctest.h>

#include <initializer_list>

using namespace zoqat::lab;

TEST_CASE("density and tails are those of tables") {
  CHECK(normal::density(0) == doctest::Approx(0.3989422804014327).epsilon(1e-15));
  CHECK(normal::density(-2) == doctest::Approx(0.05399096651318806).epsilon(1e-14));
  CHECK(normal::below(0) == 0.5);
  CHECK(normal::below(1.96) == doctest::Approx(0.9750021048517795).epsilon(1e-14));
  CHECK(normal::upper_tail(8) == doctest::Approx(6.22096057427178e-16).epsilon(1e-12));
}

TEST_CASE("quantiles invert the tail from the middle to where probabilities are tiny") {
  CHECK(normal::upper_quantile(0.5) == 0);
  CHECK(normal::upper_quantile(0.005) == doctest::Approx(2.575829303548901).epsilon(1e-13));
  for (const double tail : {0.4999, 0.3, 0.05, 1e-3, 1e-8, 1e-30, 1e-200})
    CHECK(normal::upper_tail(normal::upper_quantile(tail)) == doctest::Approx(tail).epsilon(1e-11));
}

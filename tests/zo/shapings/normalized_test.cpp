// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/shapings/normalized.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>
#include <zoqat/zo/differences/forward.hpp>
#include <zoqat/zo/estimator.hpp>

#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("slopes are divided by the spread of the losses") {
  std::vector<float> slopes{3, -1};
  normalized{.magnitude = 0.5f}(slopes, 2);
  CHECK(slopes == std::vector<float>{0.75f, -0.25f});
  normalized{}(slopes, 0);
  CHECK(slopes == std::vector<float>{0, 0});
}

TEST_CASE("an estimate that is normalized is the same for a loss of any scale") {
  tensors store = assorted();
  linear small{numbers(store.values().size(), 3)}, large = small;
  large.factors = {1024};
  const estimator<forward, rademacher> plain{.directions = 8};
  const estimator<forward, rademacher, normalized> e{.directions = 8};
  const auto of = [&](const auto& how, const linear& f) { return how(2, objective_of(store, rademacher(), f)); };
  const auto raw = of(plain, small), one = of(e, small), other = of(e, large);
  CHECK(other.loss_stddev == doctest::Approx(1024 * one.loss_stddev).epsilon(1e-6));
  for (std::size_t i = 0; i != 8; ++i) {
    CHECK(one.half_difference[i] ==
          doctest::Approx(1e-3 * double{raw.half_difference[i]} / double{raw.loss_stddev}).epsilon(1e-6));
    CHECK(other.half_difference[i] == doctest::Approx(one.half_difference[i]).epsilon(1e-6));
  }
}

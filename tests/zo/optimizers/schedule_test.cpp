// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/optimizers/schedule.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <initializer_list>
#include <limits>

using namespace zoqat::zo;

static_assert(schedule<constant> && schedule<linear_decay> && schedule<geometric_decay> && schedule<cosine_decay>);
static_assert(!schedule<int>);

namespace {
constexpr std::uint32_t last = std::numeric_limits<std::uint32_t>::max();
}

TEST_CASE("constant") {
  for (const std::uint32_t step : {0u, 1u, last}) CHECK(constant()(step) == 1);
}

TEST_CASE_TEMPLATE("a decay goes from 1 to its end, never up, and stays there", Decay, linear_decay, geometric_decay,
                   cosine_decay) {
  for (const double end : {0.0, 0.1, 0.5, 1.0}) {
    const Decay decay{.steps = 1000, .final = end};
    CHECK(decay(0) == doctest::Approx(1).epsilon(1e-12));
    for (std::uint32_t step = 0; step != 1100; ++step) REQUIRE(decay(step + 1) <= decay(step) + 1e-12);
    CHECK(decay(999) >= end);
    CHECK(decay(999) == doctest::Approx(end).epsilon(0.02));
    CHECK(decay(1000) == end);
    CHECK(decay(last) == end);
  }
}

TEST_CASE_TEMPLATE("a decay over a step, and over none", Decay, linear_decay, geometric_decay, cosine_decay) {
  CHECK(Decay{.steps = 1, .final = 0.25}(0) == 1);
  CHECK(Decay{.steps = 1, .final = 0.25}(1) == 0.25);
  CHECK(Decay{.steps = 0, .final = 0.25}(0) == 0.25);
}

TEST_CASE("a decay over all steps there are does not overflow") {
  CHECK(linear_decay{.steps = last}(last / 2 + 1) == doctest::Approx(0.5));
  CHECK(cosine_decay{.steps = last}(last / 2 + 1) == doctest::Approx(0.5));
  CHECK(geometric_decay{.steps = last, .final = 0.01}(last / 2 + 1) == doctest::Approx(0.1));
}

TEST_CASE("half-way") {
  CHECK(linear_decay{.steps = 10, .final = 0}(5) == doctest::Approx(0.5));
  CHECK(linear_decay{.steps = 10, .final = 0.5}(5) == doctest::Approx(0.75));
  CHECK(geometric_decay{.steps = 10, .final = 0.01}(5) == doctest::Approx(0.1));
  CHECK(cosine_decay{.steps = 10, .final = 0.2}(5) == doctest::Approx(0.6));
  CHECK(cosine_decay{.steps = 3, .final = 0}(1) == doctest::Approx(0.75));
  CHECK(linear_decay{.steps = 4, .final = 0}(1) == doctest::Approx(0.75));
}

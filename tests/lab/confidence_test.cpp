// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/confidence.hpp>

#include <doctest/doctest.h>
#include <zoqat/random/stream.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;

namespace {

/// Moments of n uniform numbers.
running_moments uniform_sample(std::uint32_t name, int n) {
  running_moments m;
  rng::engine draw({.seed = 3, .tensor = name, .use = rng::purpose::data});
  for (int i = 0; i != n; ++i) m.add(double{draw.uniform()});
  return m;
}

}  // namespace

TEST_CASE("an interval is as many standard errors wide as its confidence asks for") {
  const running_moments m = uniform_sample(0, 500);
  const interval i = mean_interval(m, 0.99);
  CHECK(i.center == m.mean());
  CHECK(i.half_width() == doctest::Approx(2.5758293035489 * m.standard_error()).epsilon(1e-12));
  CHECK(i.contains(i.low));
  CHECK(!i.contains(i.high + 1e-6));
}

TEST_CASE("intervals hold the true mean as often as they say") {
  int held90 = 0, held99 = 0;
  for (std::uint32_t name = 0; name != 4000; ++name) {
    const running_moments m = uniform_sample(name, 200);
    held90 += mean_interval(m, 0.90).contains(0.5);
    held99 += mean_interval(m, 0.99).contains(0.5);
  }
  CHECK(held90 == doctest::Approx(3600).epsilon(0.016));  // three standard deviations
  CHECK(held99 == doctest::Approx(3960).epsilon(0.005));
}

TEST_CASE("joint intervals are wider, and all hold at once as often as they say") {
  int all_held = 0;
  for (std::uint32_t trial = 0; trial != 400; ++trial) {
    std::vector<running_moments> all;
    for (std::uint32_t i = 0; i != 10; ++i) all.push_back(uniform_sample(trial * 10 + i, 200));
    bool held = true;
    for (const interval& i : joint_intervals(all, 0.9)) held = held && i.contains(0.5);
    all_held += held;
  }
  CHECK(all_held >= 342);  // 0.9 · 400 less three standard deviations
  CHECK(all_held < 400);
}

TEST_CASE("one number alone has an interval without bounds") {
  running_moments m;
  m.add(3);
  CHECK(mean_interval(m).contains(-1e300));
}

TEST_CASE("the norm of a vector is bounded by those of the corners next to 0 and away from it") {
  const std::array<interval, 3> box{{{3, 2, 4}, {-6, -8, -4}, {0.5, -1, 2}}};
  const interval norm = norm_interval(box);
  CHECK(norm.center == doctest::Approx(std::sqrt(9 + 36 + 0.25)));
  CHECK(norm.low == doctest::Approx(std::sqrt(4 + 16 + 0)));
  CHECK(norm.high == doctest::Approx(std::sqrt(16 + 64 + 4)));
  CHECK(norm_interval({}).high == 0);
}

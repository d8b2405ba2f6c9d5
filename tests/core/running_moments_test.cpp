// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/running_moments.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

using namespace zoqat;

namespace {

running_moments of(const std::vector<double>& numbers) {
  running_moments m;
  for (const double x : numbers) m.add(x);
  return m;
}

}  // namespace

TEST_CASE("mean and variance of a few numbers") {
  const running_moments m = of({2, 4, 4, 4, 5, 5, 7, 9});
  CHECK(m.count() == 8);
  CHECK(m.mean() == doctest::Approx(5).epsilon(1e-15));
  CHECK(m.variance() == doctest::Approx(32.0 / 7).epsilon(1e-15));
  CHECK(m.standard_error() == doctest::Approx(std::sqrt(32.0 / 7 / 8)).epsilon(1e-15));
}

TEST_CASE("fewer than two numbers leave the spread unknown") {
  constexpr double unknown = std::numeric_limits<double>::infinity();
  CHECK(of({}).mean() == 0);
  CHECK(of({}).standard_error() == unknown);
  CHECK(of({3}).mean() == 3);
  CHECK(of({3}).variance() == unknown);
  CHECK(of({3}).standard_error() == unknown);
  CHECK(of({3, 3}).variance() == 0);
}

TEST_CASE("a spread far below the mean keeps its digits") {
  // The textbook's Σx² − (Σx)²/n has none left of a variance of 2.5 at a mean of 10⁹.
  const running_moments m = of({1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4, 1e9 + 5});
  CHECK(m.variance() == doctest::Approx(2.5).epsilon(1e-9));
}

TEST_CASE("parts that are merged are as good as the whole, empty ones included") {
  const std::vector<double> all{0.5, -2, 8, 1e3, 7, 7, -0.25};
  const running_moments whole = of(all);
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(cut);
    running_moments part = of({all.begin(), at});
    part.merge(of({at, all.end()}));
    CHECK(part.count() == whole.count());
    CHECK(part.mean() == doctest::Approx(whole.mean()).epsilon(1e-14));
    CHECK(part.variance() == doctest::Approx(whole.variance()).epsilon(1e-14));
  }
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/proportion.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cmath>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// √(Σ (x − mean)² / (n − 1) / n) of ones and zeros, as the harness computes it.
double standard_error(std::size_t right, std::size_t items) {
  const double mean = static_cast<double>(right) / static_cast<double>(items);
  double squares = 0;
  for (std::size_t i = 0; i != items; ++i) squares += std::pow((i < right ? 1 : 0) - mean, 2);
  return std::sqrt(squares / static_cast<double>(items - 1) / static_cast<double>(items));
}

}  // namespace

TEST_CASE("a proportion has the standard error of the mean of ones and zeros") {
  const eval::proportion found = eval::proportion_of(7, 20);
  CHECK(found.value == doctest::Approx(0.35));
  CHECK(found.standard_error == doctest::Approx(standard_error(7, 20)).epsilon(1e-12));
  CHECK(found.items == 20);
  CHECK(eval::proportion_of(1, 1) == eval::proportion{1, 0, 1});
  check_mentions(message_of<value_error>([] { static_cast<void>(eval::proportion_of(0, 0)); }), "no items");
}

TEST_CASE("parts together weigh as much as they have items, with the variance within them") {
  const std::vector<eval::proportion> parts{eval::proportion_of(7, 20), eval::proportion_of(30, 40)};
  const eval::proportion all = eval::pooled(parts);
  CHECK(all.value == doctest::Approx(37.0 / 60));
  CHECK(all.items == 60);
  // Squares about each part's own mean, over the degrees of freedom and the items.
  const double squares = 20 * 0.35 * 0.65 + 40 * 0.75 * 0.25;
  CHECK(all.standard_error == doctest::Approx(std::sqrt(squares / 58 / 60)).epsilon(1e-12));
  CHECK(eval::pooled(std::vector{parts[0]}).standard_error == doctest::Approx(parts[0].standard_error));
  check_mentions(message_of<value_error>([] { static_cast<void>(eval::pooled({})); }), "no parts");
}

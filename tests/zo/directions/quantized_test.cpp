// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/quantized.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <zo/policies.hpp>

#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

// v, and the mean product of the squares of two roundings of an element, measured along a fixed direction.
struct measured {
  double variance = 0, square_of_mean_square = 0, fourth = 0;
  explicit measured(double step) {
    constexpr std::size_t n = 400000;
    for (const float x : elements_of(gaussian(), {9, 9, 9}, 9, n)) {
      const double at = double{x} / step, low = std::floor(at), f = at - low;
      const double square = (low * low * (1 - f) + (low + 1) * (low + 1) * f) * step * step;
      variance += f * (1 - f) * step * step / n;
      square_of_mean_square += square * square / n;
      fourth += (std::pow(low, 4) * (1 - f) + std::pow(low + 1, 4) * f) * std::pow(step, 4) / n;
    }
  }
};

}  // namespace

TEST_CASE("quantized elements are functions of their place") {
  check_elements(quantized_gaussian(8));
  check_elements(quantized_gaussian(3).of_update());
}

TEST_CASE("reads and sweeps go along one rounding, updates along the other") {
  check_use(quantized_gaussian(4));
  check_use(quantized_gaussian(4, roundings::same));
}

TEST_CASE("an element is one of the two neighbors of the base's, which it is in the mean") {
  constexpr std::size_t n = 50000;
  const direction along{1, 2, 3};
  const auto base = elements_of(gaussian(), along, 4, n);
  for (const int bits : {2, 4, 8, 16}) {
    const quantized_gaussian elements(bits);
    CHECK(elements.step() == doctest::Approx(5.0 / ((1 << (bits - 1)) - 1)));
    const double step = double{elements.step()};
    const auto u = elements_of(elements, along, 4, n), other = elements_of(elements.of_update(), along, 4, n);
    sample error, product;
    for (std::size_t i = 0; i != n; ++i) {
      const double e = double{u[i]} - double{base[i]}, f = double{other[i]} - double{base[i]};
      REQUIRE(std::abs(double{u[i]} / step - std::nearbyint(double{u[i]} / step)) < 1e-2);
      REQUIRE(std::abs(e) < step * 1.001);
      REQUIRE(std::abs(double{u[i]}) < 5.001);
      error.add(e), product.add(e * f);
    }
    CHECK(std::abs(error.mean()) <= 4 * error.standard_error());
    CHECK(std::abs(product.mean()) <= 4 * product.standard_error());  // independent roundings
    CHECK(elements_of(quantized_gaussian(bits, roundings::same).of_update(), along, 4, n) == u);
  }
}

TEST_CASE("E ĝ is g with independent roundings, (1 + v)g with the same, and E‖ĝ‖² the closed form" *
          doctest::skip(zoqat::testing::is_slow_build)) {
  small_matrix_and_vector store;
  const auto g = numbers(16, 20);
  const quantized_gaussian independent(3), same(3, roundings::same);
  const measured rounding(double{same.step()});
  const double second = 1 + rounding.variance;
  REQUIRE(rounding.variance > 0.3);
  std::vector<double> stretched;
  for (const double x : g) stretched.push_back(second * x);

  const auto of_independent = linear_moments(store, independent, g, 1, 40000);
  of_independent.check_mean(g);
  of_independent.check_power((15 * second * second + rounding.square_of_mean_square) * dot(g, g), 0.1);
  const auto of_same = linear_moments(store, same, g, 1, 40000);
  of_same.check_mean(stretched);
  of_same.check_power((15 * second * second + rounding.fourth) * dot(g, g), 0.1);
}

TEST_CASE("settings of quantized directions") {
  CHECK(quantized_gaussian::name() == std::string_view("quantized gaussian"));
  CHECK(quantized_gaussian(4) == quantized_gaussian(4));
  CHECK_FALSE(quantized_gaussian(4) == quantized_gaussian(5));
  CHECK_FALSE(quantized_gaussian(4) == quantized_gaussian(4, roundings::same));
  CHECK_THROWS_AS(quantized_gaussian(1), value_error);
  CHECK_THROWS_AS(quantized_gaussian(17), value_error);
}

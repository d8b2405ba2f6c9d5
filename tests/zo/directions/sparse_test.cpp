// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/sparse.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <zo/policies.hpp>

#include <cmath>
#include <cstddef>
#include <string_view>
#include <type_traits>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

#define ZOQAT_SPARSE sparse_gaussian, sparse_rademacher

TEST_CASE_TEMPLATE("sparse elements are functions of their place", Elements, ZOQAT_SPARSE) {
  check_elements(Elements(0.25));
}

TEST_CASE_TEMPLATE("reads, sweeps and updates go along sparse elements", Elements, ZOQAT_SPARSE) {
  check_use(Elements(0.25));
}

TEST_CASE_TEMPLATE("a kept element is that of the base over √p", Elements, ZOQAT_SPARSE) {
  using base = std::conditional_t<std::is_same_v<Elements, sparse_gaussian>, gaussian, rademacher>;
  constexpr std::size_t n = 50000;
  const direction along{1, 2, 3};
  const auto whole = elements_of(base(), along, 4, n);
  for (const double p : {0.01, 0.25, 0.9, 1.0}) {
    const Elements elements(p);
    CHECK(elements.probability() == doctest::Approx(p).epsilon(1e-8));
    const auto u = elements_of(elements, along, 4, n);
    const auto scale = static_cast<float>(1 / std::sqrt(p));
    double kept = 0;
    for (std::size_t i = 0; i != n; ++i) {
      if (u[i] == 0) continue;
      ++kept;
      REQUIRE(u[i] == doctest::Approx(whole[i] * scale).epsilon(1e-6));
    }
    CHECK(std::abs(kept - n * p) <= 4 * std::sqrt(n * p * (1 - p)));
  }
}

TEST_CASE_TEMPLATE("E‖ĝ‖² along sparse directions is (d − 1 + κ/p)‖g‖²" *
                       doctest::skip(zoqat::testing::is_slow_build),
                   Elements, ZOQAT_SPARSE) {
  const double kurtosis = std::is_same_v<Elements, sparse_gaussian> ? 3 : 1, p = 0.25;
  small_matrix_and_vector store;
  const auto g = numbers(16, 20);
  const auto moments = linear_moments(store, Elements(p), g, 1, 40000);
  moments.check_mean(g);
  moments.check_power((16 - 1 + kurtosis / p) * dot(g, g), 0.12);
}

TEST_CASE("sparse directions of other probabilities are others, and probabilities are checked") {
  CHECK(sparse_gaussian(0.5) == sparse_gaussian(0.5));
  CHECK_FALSE(sparse_gaussian(0.5) == sparse_gaussian(0.25));
  CHECK(sparse_gaussian::name() == std::string_view("sparse gaussian"));
  CHECK(sparse_rademacher::name() == std::string_view("sparse rademacher"));
  CHECK(sparse_gaussian(1e-30).probability() > 0);
  for (const double p : {0.0, -1.0, 1.5, std::nan("")}) CHECK_THROWS_AS(sparse_gaussian{p}, value_error);
  zoqat::testing::check_mentions(zoqat::testing::message_of<value_error>([] { sparse_gaussian(1.5); }), "1.5");
}

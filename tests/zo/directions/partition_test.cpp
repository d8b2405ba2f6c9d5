// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/partition.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <zo/policies.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("elements of a partition are functions of their place") { check_elements(partition(3)); }

TEST_CASE("reads, sweeps and updates go along a partition") { check_use(partition(2)); }

TEST_CASE("every element belongs to one direction, and each has as many") {
  for (const std::uint32_t q : {1u, 3u, 8u})
    for (const std::size_t n : {1u, 7u, 24u, 1000u}) {
      std::vector<int> owners(n);
      for (std::uint32_t i = 0; i != q; ++i) {
        const auto u = elements_of(partition(q), {5, 6, i}, 7, n);
        std::size_t owned = 0;
        for (std::size_t j = 0; j != n; ++j) {
          if (u[j] == 0) continue;
          ++owned, ++owners[j];
          REQUIRE(std::abs(u[j]) == static_cast<float>(std::sqrt(static_cast<double>(q))));
        }
        CHECK(owned >= n / q);
        CHECK(owned <= (n + q - 1) / q);
      }
      CHECK(owners == std::vector<int>(n, 1));
    }
}

TEST_CASE("E‖ĝ‖² along a partition is (d / q)‖g‖², all of it gradient at q = d, which need be no power of two" *
          doctest::skip(zoqat::testing::is_slow_build)) {
  tensors store;
  store.add(parameter_group::weight, std::vector<float>(12, 0.0f));
  const auto g = numbers(12, 20);
  for (const std::uint32_t q : {1u, 2u, 3u, 6u}) {
    const auto moments = linear_moments(store, partition(q), g, q, 20000);
    moments.check_mean(g);
    moments.check_power(12.0 / q * dot(g, g), 0.06);
  }
  const auto exact = linear_moments(store, partition(12), g, 12, 3);
  exact.check_mean(g);
  CHECK(exact.power.mean() == doctest::Approx(dot(g, g)).epsilon(1e-6));
}

TEST_CASE("fewer directions than the partition has parts are unbiased too" *
          doctest::skip(zoqat::testing::is_slow_build)) {
  small_matrix_and_vector store;
  const auto g = numbers(16, 20);
  linear_moments(store, partition(5), g, 2, 20000).check_mean(g);
}

TEST_CASE("a partition for other numbers of directions is another one; none is not possible") {
  CHECK(partition(3) == partition(3));
  CHECK_FALSE(partition(3) == partition(4));
  CHECK_THROWS_AS(partition(0), value_error);
}

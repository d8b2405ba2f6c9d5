// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/uniform.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <zo/policies.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("uniform elements are functions of their place") { check_elements(uniform()); }

TEST_CASE("reads, sweeps and updates go along uniform elements") { check_use(uniform()); }

TEST_CASE("uniform elements fill [-√3, √3] evenly") {
  constexpr std::size_t n = 100000, cells = 20;
  const auto u = elements_of(uniform(), {1, 2, 3}, 4, n);
  sample mean, variance, fourth;
  std::vector<double> in_cell(cells);
  for (const float x : u) {
    const double z = double{x};
    REQUIRE(std::abs(z) < std::sqrt(3.0));
    mean.add(z), variance.add(z * z), fourth.add(z * z * z * z);
    ++in_cell[static_cast<std::size_t>((z / std::sqrt(3.0) + 1) / 2 * cells)];
  }
  CHECK(std::abs(mean.mean()) < 4 * mean.standard_error());
  CHECK(std::abs(variance.mean() - 1) < 4 * variance.standard_error());
  CHECK(std::abs(fourth.mean() - 1.8) < 4 * fourth.standard_error());
  double chi_square = 0;
  for (const double count : in_cell) chi_square += (count - n / cells) * (count - n / cells) / (n / cells);
  CHECK(chi_square < 43.8);  // 1 in 1000 of 19 degrees of freedom
  CHECK(std::ranges::count(u, 0.0f) == 0);
}

TEST_CASE("E‖ĝ‖² along uniform directions is (d + 4/5)‖g‖²" * doctest::skip(zoqat::testing::is_slow_build)) {
  small_matrix_and_vector store;
  const auto g = numbers(16, 20);
  const auto moments = linear_moments(store, uniform(), g, 1, 40000);
  moments.check_mean(g);
  moments.check_power((16 - 1 + 1.8) * dot(g, g), 0.06);
}

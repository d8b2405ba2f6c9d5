// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/low_rank.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

double minor_of(const std::vector<float>& u, std::size_t cols, std::size_t a, std::size_t b, std::size_t c,
                std::size_t d) {
  return double{u[a * cols + c]} * double{u[b * cols + d]} - double{u[a * cols + d]} * double{u[b * cols + c]};
}

}  // namespace

TEST_CASE("elements of low rank are functions of their place in the matrix") {
  check_elements(low_rank(1));
  check_elements(low_rank(5));
}

TEST_CASE("reads, sweeps and updates go along directions of low rank") { check_use(low_rank(3)); }

TEST_CASE("a direction of rank one has rank one in matrices, rows of units or swept") {
  std::vector<float> values(6 * 40);
  const std::vector<float> units(6, 1.0f);
  const parameter with_units{.id = 3, .values = values, .unit = units},
      swept{.id = 3, .values = values, .row_size = 40};
  const auto u = filled(low_rank(1), {1, 2, 3}, with_units, 0, values.size());
  CHECK(filled(low_rank(1), {1, 2, 3}, swept, 0, values.size()) == u);
  const auto second = filled(low_rank(2), {1, 2, 3}, swept, 0, values.size());
  std::size_t full = 0;
  for (std::size_t a = 1; a != 6; ++a)
    for (std::size_t c = 1; c != 40; ++c) {
      REQUIRE(std::abs(minor_of(u, 40, 0, a, 0, c)) < 1e-5);
      full += std::abs(minor_of(second, 40, 0, a, 0, c)) > 1e-2;
    }
  CHECK(full > 150);
}

TEST_CASE("what is no matrix has Gaussian elements") {
  std::vector<float> values(24);
  const std::vector<float> each(24, 1.0f), one{1.0f};
  for (const parameter& p : {parameter{.id = 3, .values = values}, parameter{.id = 3, .values = values, .unit = each},
                             parameter{.id = 3, .values = values, .unit = one}})
    CHECK(filled(low_rank(2), {1, 2, 3}, p, 0, 24) == filled(gaussian(), {1, 2, 3}, p, 0, 24));
}

TEST_CASE("E‖ĝ‖² along directions of rank r is (mn + 2 + 2(m + n + 1)/r)‖g‖²") {
  tensors store;
  store.add(parameter_group::weight, std::vector<float>(12, 0.0f), {1.0f, 1.0f, 1.0f});
  const auto g = numbers(12, 20);
  for (const std::size_t rank : {2u, 4u}) {
    const auto moments = linear_moments(store, low_rank(rank), g, 1, 60000);
    moments.check_mean(g);
    moments.check_power((12 + 2 + 2 * (3 + 4 + 1) / static_cast<double>(rank)) * dot(g, g), 0.12);
  }
}

TEST_CASE("ranks make other directions; none is not possible") {
  CHECK(low_rank(3) == low_rank(3));
  CHECK_FALSE(low_rank(3) == low_rank(4));
  CHECK_THROWS_AS(low_rank(0), value_error);
}

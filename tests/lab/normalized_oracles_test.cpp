// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/normalized_oracles.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <zoqat/zo/differences/forward.hpp>
#include <zoqat/zo/shapings/normalized.hpp>

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

constexpr float fine = 0x1p-10f;
constexpr double reach = 1.5;
const std::vector<double> slope{0.5, -1, 2, 0.25, 1.5};
const double norm = std::sqrt(squared_norm(slope));

template <class Difference>
void check(std::uint32_t q, double length, double second_moment) {
  CAPTURE(q);
  const estimator<Difference, gaussian, normalized> e{.epsilon = per_group<float>::all(fine),
                                                      .directions = q,
                                                      .seed = 1,
                                                      .shaping = {.magnitude = static_cast<float>(reach) * fine}};
  std::vector<double> mean = slope;
  for (double& x : mean) x *= length / norm;
  const estimator_error error = measured(e, std::vector<float>(slope.size()), inner_product{slope}, mean);
  check_within(error.second_moment(), second_moment);
  check_within(error.projection(), 1);
  check_unbiased(error);
}

}  // namespace

TEST_CASE("pairs over the spread of their losses: where the gradient points, at a length of its own") {
  for (const std::uint32_t q : {1u, 2u, 8u})
    check<central>(q, oracle::normalized_length(reach, q), oracle::normalized_second_moment(5, reach, q));
}

TEST_CASE("forward differences over the spread of their losses") {
  // With fewer directions the square of an estimate has no variance, and its mean no interval.
  for (const std::uint32_t q : {8u, 16u})
    check<forward>(q, oracle::normalized_forward_length(reach, q),
                   oracle::normalized_forward_second_moment(5, reach, q));
}

TEST_CASE("lengths of one pair and of very many directions") {
  // A single pair: the sign of its slope over √2.
  CHECK(oracle::normalized_length(1, 1) == doctest::Approx(std::sqrt(1 / std::numbers::pi)));
  CHECK(oracle::normalized_second_moment(7, 1, 1) == doctest::Approx(3.5));
  for (const double q : {1e5, 1e6}) {
    CHECK(oracle::normalized_length(3, q) == doctest::Approx(3).epsilon(1e-4));
    CHECK(oracle::normalized_forward_length(3, q) == doctest::Approx(3).epsilon(1e-4));
    CHECK(oracle::normalized_second_moment(2, 3, q) == doctest::Approx(9).epsilon(1e-4));
    CHECK(oracle::normalized_forward_second_moment(2, 3, q) == doctest::Approx(9).epsilon(1e-4));
  }
}

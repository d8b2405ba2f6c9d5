// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/coordinate.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <zo/policies.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

// Importance as a function of the place in the store.
coordinate weighted(tensors& store, const std::vector<double>& weights) {
  std::size_t at = 0;
  return {store, [&](const parameter&, std::size_t) { return weights[at++]; }};
}

}  // namespace

TEST_CASE("one element of all moves, wherever it is read from") {
  swept_tensors store;
  const coordinate elements(store);
  for (std::uint32_t step = 0; step != 30; ++step) {
    std::size_t moved = 0, size = 0;
    store.for_each_parameter([&](const parameter& p) {
      const auto whole = filled(elements, {7, step, 0}, p, 0, p.size());
      CHECK(bits_of(filled<simd::reference>(elements, {7, step, 0}, p, 0, p.size())) == bits_of(whole));
      const std::size_t half = p.size() / 2;
      const auto first = filled(elements, {7, step, 0}, p, 0, half),
                 second = filled(elements, {7, step, 0}, p, half, p.size() - half);
      for (std::size_t i = 0; i != p.size(); ++i) {
        REQUIRE(whole[i] == (i < half ? first[i] : second[i - half]));
        moved += whole[i] != 0;
      }
      size += p.size();
    });
    CHECK(moved == 1);
    CHECK(size == store.values().size());
  }
}

TEST_CASE("reads, sweeps and updates go along a coordinate") {
  swept_tensors store;
  check_use(coordinate(store));
}

TEST_CASE("E‖ĝ‖² along coordinates is Σ g²/p, and least for p in proportion to |g|" *
          doctest::skip(zoqat::testing::is_slow_build)) {
  small_matrix_and_vector store;
  const auto g = numbers(16, 20), skewed = numbers(16, 21);
  std::vector<double> even(16, 1.0), best, other;
  for (const double x : g) best.push_back(std::abs(x));
  for (const double x : skewed) other.push_back(std::abs(x) + 0.2);
  const auto power = [&](const std::vector<double>& weights) {
    double sum = 0;
    for (std::size_t j = 0; j != 16; ++j) sum += g[j] * g[j] / weights[j];
    return sum * std::accumulate(weights.begin(), weights.end(), 0.0);
  };
  CHECK(power(even) == doctest::Approx(16 * dot(g, g)));
  for (const auto& weights : {even, other, best}) {
    CHECK(power(weights) >= power(best) * (1 - 1e-12));
    const auto moments = linear_moments(store, weighted(store, weights), g, 1, 40000);
    moments.check_mean(g);
    moments.check_power(power(weights), 0.06);
  }
}

TEST_CASE("importances are what a coordinate is drawn by, and are checked") {
  small_matrix_and_vector store;
  std::vector<double> weights(16, 0.0);
  weights[13] = 3;  // in the second tensor
  const coordinate only = weighted(store, weights);
  for (std::uint32_t step = 0; step != 100; ++step) {
    const auto u = elements_of(store, only, {1, step, 0});
    for (std::size_t j = 0; j != 16; ++j) REQUIRE(std::abs(u[j]) == (j == 13 ? 1 : 0));
  }
  CHECK(only == weighted(store, weights));
  CHECK_FALSE(only == coordinate(store));
  CHECK_THROWS_AS(weighted(store, std::vector<double>(16, 0.0)), value_error);
  for (const double bad : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    weights[2] = bad;
    zoqat::testing::check_mentions(zoqat::testing::message_of<value_error>([&] { (void)weighted(store, weights); }),
                                   "element 2", "tensor 0");
  }
}

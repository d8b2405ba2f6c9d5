// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/variance_reduction/control_variate.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>
#include <zoqat/zo/estimator.hpp>

#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("losses are those of the objective less the variate's, on the same lanes and data") {
  std::vector<perturbation> seen;
  auto loss = [&](const auto& lanes, std::size_t m, std::span<double> losses) {
    seen.assign(lanes.begin(), lanes.end());
    for (std::size_t i = 0; i != losses.size(); ++i) losses[i] = 10.0 * static_cast<double>(i + m);
  };
  auto other = [&](const auto& lanes, std::size_t m, std::span<double> losses) {
    REQUIRE(lanes.size() == seen.size());
    for (std::size_t i = 0; i != losses.size(); ++i) {
      CHECK(lanes[i].along == seen[i].along);
      CHECK(lanes[i].scale == seen[i].scale);
      losses[i] = static_cast<double>(i) + 3 * static_cast<double>(m);
    }
  };
  control_variate both(loss, other, 2, 100);
  const auto e = estimator<>{.micro_batches = 2}(1, both);
  // Losses 100, 108 and 104, 112: slopes of −4.
  CHECK(e.half_difference == std::vector<float>{-4});
  CHECK(e.loss == 106);
}

TEST_CASE("noise that both objectives have drops out") {
  tensors store = assorted();
  const linear g{numbers(store.values().size(), 3)}, noise{numbers(store.values().size(), 4)};
  const auto noisy = [&](double gradient) {
    return objective_of(store, gaussian(), [&, gradient](std::span<const float> x, std::size_t m) {
      return gradient * g(x, m) + 100 * noise(x, m);
    });
  };
  auto loss = noisy(1.5), other = noisy(1);
  control_variate both(loss, other);
  const estimator<> e{};
  const auto clean = e(3, objective_of(store, gaussian(), g));
  CHECK(e(3, both).half_difference[0] == doctest::Approx(clean.half_difference[0] / 2).epsilon(1e-3));
}

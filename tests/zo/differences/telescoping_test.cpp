// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/differences/telescoping.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>
#include <zoqat/zo/estimator.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

// Σ b x + c x³ / 6: at zero ∇f = b, and smoothing over ε adds (ε²/2) c.
struct cubic {
  std::vector<double> b, c;
  double operator()(std::span<const float> x, std::size_t) const {
    double sum = 0;
    for (std::size_t j = 0; j != x.size(); ++j) sum += b[j] * double{x[j]} + c[j] * std::pow(double{x[j]}, 3) / 6;
    return sum;
  }
};

template <class Difference>
gradient_moments moments_of(const Difference& difference, tensors& store, const cubic& f, float epsilon) {
  const estimator<Difference> e{.epsilon = {.weight = epsilon}, .seed = 6, .difference = difference};
  gradient_moments moments;
  for (std::uint32_t step = 0; step != 40000; ++step)
    moments.add(gradient_of(e(step, objective_of(store, gaussian(), f)), store, gaussian()));
  return moments;
}

}  // namespace

TEST_CASE("three pairs: at ε, and at two neighboring levels below") {
  const estimator<telescoping> e{.epsilon = {.weight = 0.5f}, .seed = 3, .difference = {.levels = 3}};
  std::array<int, 3> drawn{};
  for (std::uint32_t step = 0; step != 4200; ++step)
    (void)e(step, [&](const auto& lanes, std::size_t, std::span<double>) {
      REQUIRE(lanes.size() == 6);
      CHECK(lanes[0].scale.weight == 0.5f);
      CHECK(lanes[4].scale.weight == lanes[2].scale.weight / 2);
      for (const std::size_t i : {1u, 3u, 5u}) CHECK(lanes[i].scale == (-lanes[i - 1]).scale);
      ++drawn[static_cast<std::size_t>(std::log2(0.5f / lanes[2].scale.weight))];
    });
  // With probabilities 16/21, 4/21, 1/21.
  CHECK(std::abs(drawn[0] - 3200) < 4 * std::sqrt(4200 * 16 / 21.0 * 5 / 21));
  CHECK(std::abs(drawn[1] - 800) < 4 * std::sqrt(4200 * 4 / 21.0 * 17 / 21));
  CHECK(std::abs(drawn[2] - 200) < 4 * std::sqrt(4200 * 1 / 21.0 * 20 / 21));
}

TEST_CASE("the bias of central differences on a cubic is (ε²/2) ∇Δf, and gone without it") {
  constexpr std::size_t d = 4;
  tensors store = at_origin(d);
  const cubic f{{0.5, -0.3, 0.2, 0.1}, {1, -2, 3, 0.5}};
  constexpr float epsilon = 0.75f;
  const auto biased = [&](double scale) {
    std::vector<double> g = f.b;
    for (std::size_t j = 0; j != d; ++j) g[j] += scale * scale / 2 * f.c[j];
    return g;
  };
  moments_of(central(), store, f, epsilon).check_mean(biased(double{epsilon}));
  const auto corrected = moments_of(telescoping{.levels = 3}, store, f, epsilon);
  corrected.check_mean(biased(double{epsilon} / 8));
  for (std::size_t j = 0; j != 3; ++j)  // which tells it from central differences
    CHECK(std::abs(corrected.of_element[j].mean() - biased(double{epsilon})[j]) >
          5 * corrected.of_element[j].standard_error());
}

TEST_CASE("on a linear loss nothing is corrected, and levels are checked") {
  constexpr std::size_t d = 8;
  tensors store = at_origin(d);
  const linear f{numbers(d, 20)};
  const auto loss = objective_of(store, gaussian(), f);
  const auto plain = estimator<>{.epsilon = {.weight = fine}}(5, loss),
             telescoped = estimator<telescoping>{.epsilon = {.weight = fine}}(5, loss);
  CHECK(telescoped.half_difference[0] == doctest::Approx(plain.half_difference[0]).epsilon(1e-5));
  for (const std::uint32_t levels : {0u, 21u})
    CHECK_THROWS_AS((void)estimator<telescoping>{.difference = {.levels = levels}}(0, loss), value_error);
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/quantized_oracles.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/random/stream.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

/// ⟨g, Q(x)⟩ with a step of 1.
struct quantized_product {
  std::vector<double> g;
  double operator()(std::span<const float> x) const {
    double total = 0;
    for (std::size_t i = 0; i != g.size(); ++i) total += g[i] * static_cast<double>(round_half_even(x[i]));
    return total;
  }
};
/// The same with masters that every step draws anew, uniform in their cells: 24 bits, odd ones so that none lies on a
/// threshold.
struct drawn_anew {
  quantized_product loss;
  std::vector<float> offset = std::vector<float>(loss.g.size());
  void select(std::uint32_t step) {
    rng::engine draw({.seed = 5, .step = step, .use = rng::purpose::data});
    for (float& w : offset) w = draw.uniform() + 0x1p-25f;
  }
  double operator()(std::span<const float> x) const {
    std::vector<float> moved(x.begin(), x.end());
    for (std::size_t i = 0; i != moved.size(); ++i) moved[i] += offset[i];
    return loss(moved);
  }
};

const std::vector<double> slope{0.5, -1, 2, 0.75};

}  // namespace

TEST_CASE("comb and Poisson are one function") {
  for (const double ratio : {0.02, 0.1, 0.2, 0.35, 0.5, 1.0, 3.0})
    for (const double w : {-7.3, -0.5, 0.0, 0.1, 0.25, 0.49, 0.5, 12.75}) {
      CAPTURE(ratio);
      CAPTURE(w);
      const double comb = oracle::quantized_gradient_comb(1.5, w * 0.3, 0.3, ratio * 0.3);
      const double poisson = oracle::quantized_gradient_poisson(1.5, w * 0.3, 0.3, ratio * 0.3);
      CHECK(comb == doctest::Approx(poisson).epsilon(1e-11));
    }
}

TEST_CASE("steps smooth out from half a step on, and hide the slope at the center of a cell before") {
  for (double w = 0; w < 1; w += 0.05) CHECK(std::abs(oracle::quantized_gradient_comb(1, w, 1, 0.5) - 1) < 0.015);
  CHECK(oracle::quantized_gradient_comb(1, 0, 1, 0.2) == doctest::Approx(0.17528).epsilon(3e-5));
  CHECK(oracle::quantized_gradient_comb(1, 0.45, 1, 0.1) == doctest::Approx(3.52).epsilon(1e-3));
}

TEST_CASE("the straight-through gradient is too long inside cells and too short at thresholds") {
  // At smaller scales pairs cross so few thresholds that a million of them are no normal sample.
  for (const float epsilon : {0.2f, 0.35f, 0.6f})
    for (const float w : {0.0f, 0.25f, 0.375f, 0.5f}) {
      CAPTURE(epsilon);
      CAPTURE(w);
      const estimator<> e{.epsilon = per_group<float>::all(epsilon), .seed = 1};
      const std::vector<double> straight_through{2};
      const estimator_error error = measured(e, {w}, quantized_product{{2}}, straight_through);
      check_within(error.projection(), 1 - oracle::ste_bias(2, double{w}, 1, double{epsilon}) / 2);
    }
  CHECK(oracle::ste_bias(2, 0, 1, 0.02) == doctest::Approx(2));
  CHECK(oracle::ste_bias(2, 0.45, 1, 0.1) == doctest::Approx(2 * (1 - 3.52)).epsilon(1e-3));
  CHECK(oracle::ste_bias(2, 7.3, 1, 2) == doctest::Approx(0).scale(1));
}

TEST_CASE("the mean estimate is the gradient of the smoothed loss, at any point and scale") {
  const std::vector<float> at{0.0f, 0.125f, 0.4375f, -3.75f};
  for (const float epsilon : {0.1f, 0.2f, 0.6f}) {
    CAPTURE(epsilon);
    std::vector<double> g(slope.size());
    for (std::size_t i = 0; i != g.size(); ++i)
      g[i] = oracle::quantized_gradient_comb(slope[i], double{at[i]}, 1, double{epsilon});
    const estimator<> e{.epsilon = per_group<float>::all(epsilon), .seed = 1};
    const estimator_error error = measured(e, at, quantized_product{slope}, g);
    check_unbiased(error);
    check_within(error.projection(), 1);
  }
}

TEST_CASE("the center of a cell hides four fifths of the slope at a fifth of a step") {
  const estimator<> e{.epsilon = per_group<float>::all(0.2f), .seed = 1};
  const std::vector<double> shown{0.17528};
  const estimator_error error = measured(e, {0.0f}, quantized_product{{1}}, shown);
  check_within(error.projection(), 1);
  check_unbiased(error);
}

TEST_CASE("masters anywhere in their cells: no bias, and an error of which directions that share them keep a part") {
  const auto measure_anew = [](float epsilon, std::uint32_t q) {
    const estimator<> e{.epsilon = per_group<float>::all(epsilon), .directions = q, .seed = 1};
    return measured(e, std::vector<float>(slope.size()), drawn_anew{{slope}}, slope);
  };
  for (const float epsilon : {0.0625f, 0.25f, 1.0f}) {
    for (const std::uint32_t q : {1u, 8u}) {
      if (q != 1 && epsilon == 1) continue;  // there all weights have one gradient
      CAPTURE(epsilon);
      CAPTURE(q);
      const estimator_error error = measure_anew(epsilon, q);
      check_within(error.mean_squared_error(), oracle::quantized_mse(4, squared_norm(slope), 1, double{epsilon}, q));
      check_unbiased(error);
      if (q == 1 && epsilon == 0.0625f)
        check_within(error.second_moment(),
                     oracle::quantized_second_moment_at_small_epsilon(4, squared_norm(slope), 1, double{epsilon}));
    }
  }
}

TEST_CASE("the gradient's spread over a cell is that of the comb") {
  for (const double epsilon : {0.02, 0.0625, 0.25, 0.6}) {
    constexpr int n = 1000;
    double squares = 0;
    for (int i = 0; i != n; ++i)
      squares += std::pow(oracle::quantized_gradient_comb(1, (i + 0.5) * 0.5 / n, 0.5, epsilon * 0.5) - 1, 2) / n;
    CHECK(oracle::smoothed_gradient_variance(0.5, epsilon * 0.5) == doctest::Approx(squares).epsilon(1e-9));
  }
}

TEST_CASE("the error's limits: a linear loss where steps are fine, rare whole steps where they are coarse") {
  CHECK(oracle::quantized_mse(5, 2, 1, 1e3) == doctest::Approx(12).epsilon(1e-6));
  for (const double epsilon : {0.05, 1e-2, 1e-3}) {
    const double limit = oracle::quantized_second_moment_at_small_epsilon(5, 2, 1, epsilon);
    CHECK(oracle::quantized_mse(5, 2, 1, epsilon) + 2 == doctest::Approx(limit).epsilon(1e-9));
  }
  const double fine_steps = oracle::quantized_mse(5, 2, 1, 3);
  CHECK(oracle::quantized_mse(5, 2, 1, 3, 4) == doctest::Approx(fine_steps / 4));
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/appendix_g.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/lab/fixed_quantizer.hpp>
#include <zoqat/lab/linear_oracles.hpp>
#include <zoqat/lab/noise_oracles.hpp>
#include <zoqat/lab/quantized_oracles.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

/// G‖Q(x)‖, which is G-Lipschitz and far from linear, with a step and optional clipping.
struct norm_of_quantized {
  double lipschitz;
  float step, bound;
  double operator()(std::span<const float> x) const {
    double total = 0;
    for (const float v : x) {
      const double code = static_cast<double>(std::clamp(round_half_even(v / step), -bound, bound));
      total += code * code;
    }
    return lipschitz * static_cast<double>(step) * std::sqrt(total);
  }
};

/// bz with b = ±G for all directions of a step.
struct coin {
  double slope = 0;
  void select(std::uint32_t step) {
    const rng::stream s{.seed = 8, .step = step, .use = rng::purpose::data};
    slope = s.bits(0)[0] & 1u ? 2.0 : -2.0;
  }
  double operator()(std::span<const float> x) const { return slope * double{x[0]}; }
};

/// Sums f(u)φ(u) over the line by the trapezoidal rule, which is all but exact for what falls like φ.
template <class F>
double expectation(F&& f) {
  constexpr double h = 1e-4;
  double sum = 0;
  for (double u = -10; u < 10; u += h) sum += f(u) * normal::density(u);
  return sum * h;
}

}  // namespace

TEST_CASE("Proposition 1 (i): the estimate is unbiased for the smoothed loss's gradient, whatever the batch") {
  // A different loss than the closed form of linear ones: one weight, 3 levels, squared. f_ε follows by quadrature.
  struct squared_level {
    double factor = 1;  // of the step's minibatch, with the mean 1
    void select(std::uint32_t step) {
      const rng::stream s{.seed = 8, .step = step, .use = rng::purpose::data};
      factor = s.bits(0)[0] & 1u ? 2.5 : -0.5;
    }
    double operator()(double w) const {
      const double level = std::clamp(std::nearbyint(w), -1.0, 1.0);
      return factor * (level - 0.3) * (level - 0.3);
    }
    double operator()(std::span<const float> x) const { return (*this)(double{x[0]}); }
  };
  for (const float epsilon : {0.3f, 0.75f}) {
    const double at = 0.625;
    const std::vector<double> gradient{
        expectation([&](double u) { return squared_level{}(at + double{epsilon} * u) * u / double{epsilon}; })};
    const estimator<> e{.epsilon = per_group<float>::all(epsilon), .directions = 2, .seed = 1};
    const auto whole = [](std::span<const float> x) { return squared_level{}(x); };
    check_within(measured(e, {0.625f}, whole, gradient).projection(), 1);
    check_within(measured(e, {0.625f}, squared_level{}, gradient).projection(), 1);
  }
}

TEST_CASE("Proposition 1 (ii): errors stay below the bound, clipped or not") {
  const std::vector<float> at{0.3f, -1.2f, 2.4f, 0.0f, 0.9f, -0.45f};
  const std::vector<double> nothing(at.size());
  for (const float bound : {1e6f, 2.0f})
    for (const float step : {0.05f, 1.0f, 4.0f}) {
      const estimator<> e{.epsilon = per_group<float>::all(0.25f), .seed = 1};
      const sampling how{.samples = full_sample / 5};
      const estimator_error error = measured(e, at, norm_of_quantized{2, step, bound}, nothing, how);
      // What is bounded is E‖ĝ‖², and so the error.
      CHECK(error.second_moment().high < appendix_g::printed_mse_bound(2, double{step}, 0.25, 6, 1));
    }
}

TEST_CASE("the bound without a quantizer is twice d times what a linear loss has") {
  const double exact = oracle::linear_mse(6, oracle::kurtosis::gaussian, 4) + 4;
  CHECK(exact == 4 * (6 + 2));  // (d + 2)‖g‖²
  CHECK(appendix_g::printed_mse_bound(2, 0, 1, 6, 1) == 2 * 6 * exact);
}

TEST_CASE("a shared minibatch exceeds the printed bound from five directions on, and satisfies the corrected one") {
  for (const std::uint32_t q : {1u, 5u, 20u}) {
    CAPTURE(q);
    const estimator<> e{.epsilon = per_group<float>::all(0x1p-10f), .directions = q, .seed = 1};
    const interval mse = measured(e, {0.0f}, coin{}, std::vector<double>{0}).mean_squared_error();
    check_within(mse, appendix_g::counterexample_mse(2, q));
    const double printed = appendix_g::printed_mse_bound(2, 0, 1, 1, q);
    CHECK(printed == doctest::Approx(6.0 * 4 / q));
    if (q > 4) CHECK(mse.low > printed);
    if (q < 4) CHECK(mse.high < printed);
    CHECK(mse.high <
          appendix_g::shared_batch_mse_bound(2, 0, 1, 1, q, appendix_g::counterexample_gradient_variance(2)));
  }
  CHECK(appendix_g::counterexample_mse(1, 4) == appendix_g::printed_mse_bound(1, 0, 1, 1, 4));
}

TEST_CASE("a minibatch for each direction satisfies the printed bound, with half of it") {
  for (const std::uint32_t q : {5u, 20u}) {
    CAPTURE(q);
    const estimator<> one{.epsilon = per_group<float>::all(0x1p-10f), .seed = 1};
    const interval mse = measured_apart(one, {0.0f}, coin{}, std::vector<double>{0}, q).mean_squared_error();
    const double expected =
        oracle::independent_batch_mse(1, 0, appendix_g::counterexample_gradient_variance(2), 1, q);
    CHECK(expected == doctest::Approx(3.0 * 4 / q));  // 3G²/q
    check_within(mse, expected);
    CHECK(mse.high < appendix_g::printed_mse_bound(2, 0, 1, 1, q));
  }
}

TEST_CASE("Lemma 1 is what quadrature gives, and Mills bounds the tail") {
  for (const double t : {0.0, 0.3, 1.0, 2.5}) {
    CAPTURE(t);
    const auto beyond = [&](double u, double x) { return std::abs(u) >= t ? x : 0.0; };
    CHECK(appendix_g::tail_mean(t) ==
          doctest::Approx(expectation([&](double u) { return beyond(u, std::abs(u)); })).epsilon(1e-3));
    CHECK(appendix_g::tail_second_moment(t) ==
          doctest::Approx(expectation([&](double u) { return beyond(u, u * u); })).epsilon(1e-3));
    CHECK(appendix_g::tail_probability(t) ==
          doctest::Approx(expectation([&](double u) { return beyond(u, 1); })).epsilon(1e-3));
    if (t > 0) CHECK(normal::upper_tail(t) < appendix_g::mills_bound(t));
  }
}

TEST_CASE("distances to thresholds") {
  CHECK(appendix_g::threshold_distance(0, 2) == 1);
  CHECK(appendix_g::threshold_distance(1, 2) == 0);
  CHECK(appendix_g::threshold_distance(-3.25, 2) == doctest::Approx(0.25));
  CHECK(appendix_g::threshold_distance(7.5, 2) == doctest::Approx(0.5));
}

TEST_CASE("Lemma 2 and Proposition 2 hold on a grid of weights and scales") {
  const double step = 0.5, lipschitz = 3;
  for (double ratio = 0.02; ratio < 2; ratio *= 1.2)
    for (double w = 0.01; w < 1; w += 0.02) {
      CAPTURE(ratio);
      CAPTURE(w);
      const double epsilon = ratio * step, distance = appendix_g::threshold_distance(w * step, step);
      const double gradient = oracle::quantized_gradient_comb(lipschitz, w * step, step, epsilon);
      CHECK(std::abs(gradient) <= appendix_g::smoothed_gradient_bound(lipschitz, step, epsilon, distance));
      const double bias = std::abs(oracle::ste_bias(lipschitz, w * step, step, epsilon));
      const double bound = appendix_g::ste_bias_bound(lipschitz, step, epsilon, distance);
      CHECK(bias >= bound);
      if (ratio > appendix_g::largest_informative_ratio()) CHECK(bound < 0);
      for (const double delta : {0.05, 0.3, 0.9})
        if (appendix_g::is_far_enough(step, epsilon, distance, delta)) CHECK(bias >= (1 - delta) * lipschitz);
    }
}

TEST_CASE("Lemma 2 and Proposition 2 hold with bounds of codes, by the distance to the thresholds that there are") {
  const double lipschitz = 3;
  const fixed_quantizer q{.step = 0.5, .low = -2, .high = 1};
  for (double ratio = 0.02; ratio < 2; ratio *= 1.2)
    for (double at = -4.01; at < 3; at += 0.05) {
      CAPTURE(ratio);
      CAPTURE(at);
      const double epsilon = ratio * q.step, w = at * q.step;
      double distance = 1e300;
      for (double code = q.low; code < q.high; ++code)
        distance = std::min(distance, std::abs(w - (code + 0.5) * q.step));
      const double gradient = lipschitz * smoothed_weight::of(q, w, epsilon).mean_slope;
      CHECK(std::abs(gradient) <= appendix_g::smoothed_gradient_bound(lipschitz, q.step, epsilon, distance));
      if (q.straight_through(w) != 1) continue;  // its gradient is 0 there, not G
      CHECK(std::abs(lipschitz - gradient) >= appendix_g::ste_bias_bound(lipschitz, q.step, epsilon, distance));
    }
}

TEST_CASE("the value at the center of a cell") {
  CHECK(oracle::quantized_gradient_comb(1, 0, 1, 0.2) == doctest::Approx(0.17528).epsilon(3e-5));
  CHECK(appendix_g::smoothed_gradient_bound(1, 1, 0.2, 0.5) == doctest::Approx(0.18931).epsilon(3e-5));
  CHECK(appendix_g::is_far_enough(1, 0.2, 0.5, 0.2));
  CHECK(!appendix_g::is_far_enough(1, 0.2, 0.5, 0.18));
  CHECK(!appendix_g::is_far_enough(1, 0.2, 0, 0.9));  // a threshold
}

TEST_CASE("Proposition 2 says nothing from epsilon of about a third of a step on, nor need it") {
  const double limit = appendix_g::largest_informative_ratio();
  CHECK(limit == doctest::Approx(0.345).epsilon(2e-3));
  const auto best = [](double ratio) {  // over all weights
    double most = -1e300;
    for (double r = 1e-3; r <= 0.5; r += 1e-3) most = std::max(most, appendix_g::ste_bias_bound(1, 1, ratio, r));
    return most;
  };
  CHECK(best(limit * 0.99) > 0);
  CHECK(best(limit * 1.01) < 0);
  // Near thresholds and for small ε the true gradient exceeds G, where "biased" means that STE is too small.
  CHECK(oracle::quantized_gradient_comb(1, 0.45, 1, 0.1) > 3.5);
}

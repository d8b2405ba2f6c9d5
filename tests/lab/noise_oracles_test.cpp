// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/noise_oracles.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <zoqat/lab/linear_oracles.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/zo/differences/forward.hpp>
#include <zoqat/zo/differences/leave_one_out.hpp>
#include <zoqat/zo/differences/one_point.hpp>
#include <zoqat/zo/differences/telescoping.hpp>
#include <zoqat/zo/variance_reduction/svrg.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

constexpr float fine = 0x1p-10f;
const std::vector<double> slope{0.5, -1, 2, 0.25, 1.5};
const std::vector<float> origin(slope.size());

/// Standard normal numbers of a step, one after the other.
class noise {
 public:
  void select(std::uint32_t step) { step_ = step, used_ = 0; }
  double next() {
    float x = 0;
    simd::default_kernels::gaussian({.seed = 9, .step = step_, .use = rng::purpose::data}, used_++, &x, 1);
    return static_cast<double>(x);
  }

 private:
  std::uint32_t step_ = 0;
  std::uint64_t used_ = 0;
};

/// A linear loss, with noise on every evaluation.
struct noisy {
  double deviation;
  noise draw{};
  void select(std::uint32_t step) { draw.select(step); }
  double operator()(std::span<const float> x) { return inner_product{slope}(x) + deviation * draw.next(); }
};

/// A linear loss whose gradient is g plus noise of covariance diag(spread²)/B, one draw for each step.
struct minibatch {
  std::vector<double> spread;
  double batch;
  std::vector<double> gradient = slope;
  void select(std::uint32_t step) {
    noise draw;
    draw.select(step);
    for (std::size_t i = 0; i != slope.size(); ++i)
      gradient[i] = slope[i] + spread[i] * draw.next() / std::sqrt(batch);
  }
  double operator()(std::span<const float> x) const { return inner_product{gradient}(x); }
};

template <class Distribution>
estimator<central, Distribution> pairs(std::uint32_t q, float epsilon = fine) {
  return {.epsilon = per_group<float>::all(epsilon), .directions = q, .seed = 1};
}

}  // namespace

TEST_CASE_TEMPLATE("noise of every evaluation is shared by the two of a pair", Distribution, gaussian, rademacher) {
  const double kurtosis =
      std::is_same_v<Distribution, gaussian> ? oracle::kurtosis::gaussian : oracle::kurtosis::rademacher;
  for (const std::uint32_t q : {1u, 2u}) {
    const estimator_error e = measured(pairs<Distribution>(q, 0.25f), origin, noisy{1}, slope);
    check_within(e.mean_squared_error(),
                 oracle::linear_mse(5, kurtosis, squared_norm(slope), q) + oracle::central_noise_mse(5, 1, 0.25) / q);
    check_unbiased(e);
  }
}

TEST_CASE("differences of one direction have the noise of each of their evaluations") {
  const double linear = oracle::linear_mse(5, oracle::kurtosis::gaussian, squared_norm(slope));
  const auto check = [&]<class Difference>(Difference, std::uint32_t q, double error_of_slopes, double of_noise) {
    const estimator<Difference> e{.epsilon = per_group<float>::all(0.25f), .directions = q, .seed = 1};
    const estimator_error error = measured(e, origin, noisy{1}, slope);
    check_within(error.mean_squared_error(), error_of_slopes + of_noise);
    check_unbiased(error);
  };
  check(forward{}, 1, linear, oracle::forward_noise_mse(5, 1, 0.25));
  check(one_point{}, 1, linear, oracle::one_point_noise_mse(5, 1, 0.25));
  for (const std::uint32_t q : {2u, 5u})
    check(leave_one_out{}, q, linear / (q - 1), oracle::leave_one_out_noise_mse(5, 1, 0.25, q));
}

TEST_CASE("a correction of the bias multiplies the noise") {
  const double linear = oracle::linear_mse(5, oracle::kurtosis::gaussian, squared_norm(slope));
  const double of_pair = oracle::central_noise_mse(5, 0.09, 0.25);
  CHECK(oracle::telescoping_noise_mse(5, 0.09, 0.25, 1) == doctest::Approx(6 * of_pair));
  CHECK(oracle::telescoping_noise_mse(5, 0.09, 0.25, 2) == doctest::Approx(107.25 * of_pair));
  CHECK(oracle::telescoping_noise_mse(5, 0.09, 0.25, 4) == doctest::Approx(29014 * of_pair).epsilon(1e-4));
  for (const std::uint32_t levels : {1u, 2u}) {
    CAPTURE(levels);
    const estimator<telescoping> e{
        .epsilon = per_group<float>::all(0.25f), .seed = 1, .difference = {.levels = levels}};
    const estimator_error error = measured(e, origin, noisy{0.3}, slope);
    check_within(error.mean_squared_error(), linear + oracle::telescoping_noise_mse(5, 0.09, 0.25, levels));
    check_unbiased(error);
  }
}

TEST_CASE("an anchor leaves the error of what changed since, and its own") {
  // Samples h‖x‖²/2 with h = 1 ± 1/2: between w and the anchor the gradient of a sample changes by h(w − w̃). The
  // anchor's own gradient is that of all samples, h = 1, along three directions that every step draws anew.
  struct sample {
    std::vector<float> at;
    double h = 1;
    void select(std::uint32_t step) {
      h = rng::stream{.seed = 7, .step = step, .use = rng::purpose::data}.bits(0)[0] & 1u ? 1.5 : 0.5;
    }
    double operator()(std::span<const float> x) const {
      double total = 0;
      for (std::size_t i = 0; i != x.size(); ++i) total += double{x[i] + at[i]} * double{x[i] + at[i]};
      return h * total / 2;
    }
  };
  const std::vector<float> w{0.5f, -0.25f, 1.0f, 0.125f, 0.75f}, anchor{0.25f, 0.25f, 1.5f, -0.125f, 0.5f};
  const std::vector<double> gradient(w.begin(), w.end()), gradient_of_anchor(anchor.begin(), anchor.end());
  std::vector<double> change = gradient;
  for (std::size_t i = 0; i != change.size(); ++i) change[i] -= gradient_of_anchor[i];
  point_store store(origin);
  const auto epsilon = per_group<float>::all(0x1p-4f);
  const auto objective_at = [&](const std::vector<float>& point) {
    return point_objective(store.parameters, sample{point});
  };
  const auto make = [&] {
    return [&,
            method = svrg<estimator<>>{.of_anchor = {.epsilon = epsilon, .directions = 3, .seed = 2},
                                       .of_step = {.epsilon = epsilon, .directions = 2, .seed = 1}},
            all_at_anchor = objective_at(anchor), at_w = objective_at(w), at_anchor = objective_at(anchor),
            part = std::vector<double>(change.size())](std::uint32_t step, std::span<double> out) mutable {
      at_w.select(step);
      at_anchor.select(step);
      if (!method.anchor(step, all_at_anchor)) return false;
      const auto parts = method(step, at_w, at_anchor);
      dense_gradient(parts[0], store.parameters, out);
      dense_gradient(parts[1], store.parameters, part);
      for (std::size_t i = 0; i != out.size(); ++i) out[i] += part[i];
      return true;
    };
  };
  const estimator_error error = measure_samples(gradient, make, {.samples = full_sample}, measuring_threads());
  CHECK(error.rejected() == 0);
  const double mean_square = (1.5 * 1.5 + 0.5 * 0.5) / 2 * squared_norm(change);
  const double anchor_mse = oracle::linear_mse(5, oracle::kurtosis::gaussian, squared_norm(gradient_of_anchor), 3);
  check_within(error.mean_squared_error(), oracle::svrg_mse(5, mean_square, squared_norm(change), anchor_mse, 2));
  check_unbiased(error);
}

TEST_CASE("a shared minibatch leaves a floor that more directions do not lower, and one for each does not") {
  const std::vector<double> spread{1, 2, 0.5, 1, 3};
  const double trace = squared_norm(spread);
  for (const std::uint32_t q : {1u, 8u}) {
    CAPTURE(q);
    const estimator_error shared = measured(pairs<gaussian>(q), origin, minibatch{spread, 4}, slope);
    check_within(shared.mean_squared_error(), oracle::shared_batch_mse(5, squared_norm(slope), trace, 4, q));
    check_unbiased(shared);
    const estimator_error apart = measured_apart(pairs<gaussian>(1), origin, minibatch{spread, 4}, slope, q);
    check_within(apart.mean_squared_error(), oracle::independent_batch_mse(5, squared_norm(slope), trace, 4, q));
    check_unbiased(apart);
  }
  CHECK(oracle::shared_batch_mse(5, squared_norm(slope), trace, 4, 1e9) == doctest::Approx(trace / 4));
  CHECK(oracle::independent_batch_mse(5, squared_norm(slope), trace, 4, 1e9) < 1e-6);
}

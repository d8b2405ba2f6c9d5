// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/saturation_oracles.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <zoqat/lab/linear_oracles.hpp>
#include <zoqat/zo/shapings/sign_of_slope.hpp>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

constexpr float fine = 0x1p-10f;
const std::vector<double> slope{0.5, -1, 2, 0.25, 1.5};
const double norm = std::sqrt(squared_norm(slope));

std::vector<double> scaled(double factor) {
  std::vector<double> g = slope;
  for (double& x : g) x *= factor;
  return g;
}

}  // namespace

TEST_CASE("clipping keeps the direction of the gradient and shortens it") {
  for (const float clip : {0.5f, 2.0f, 8.0f}) {
    CAPTURE(clip);
    const estimator<> e{.epsilon = per_group<float>::all(fine), .clip = clip * fine, .seed = 1};
    const std::vector<float> origin(slope.size());
    const estimator_error against_gradient = measured(e, origin, inner_product{slope}, slope);
    check_within(against_gradient.projection(), oracle::clipped_gain(double{clip}, norm));
    check_within(against_gradient.mean_squared_error(), oracle::clipped_mse(5, double{clip}, norm));
    const auto expected = scaled(oracle::clipped_gain(double{clip}, norm));
    check_unbiased(measured(e, origin, inner_product{slope}, expected));
  }
}

TEST_CASE("signs keep the direction of the gradient and forget its length") {
  const estimator<central, gaussian, sign_of_slope> e{
      .epsilon = per_group<float>::all(fine), .seed = 1, .shaping = {.magnitude = fine}};
  const std::vector<float> origin(slope.size());
  const estimator_error against_gradient = measured(e, origin, inner_product{slope}, slope);
  check_within(against_gradient.projection(), oracle::sign_gain(norm));
  check_within(against_gradient.mean_squared_error(), oracle::sign_mse(5, norm));
  check_unbiased(measured(e, origin, inner_product{slope}, scaled(oracle::sign_gain(norm))));
}

TEST_CASE("more directions leave the bias of clips and signs") {
  const std::vector<float> origin(slope.size());
  const std::uint32_t q = 6;
  const auto epsilon = per_group<float>::all(fine);
  const estimator<> clipped{.epsilon = epsilon, .directions = q, .clip = fine, .seed = 1};
  check_within(measured(clipped, origin, inner_product{slope}, slope).mean_squared_error(),
               oracle::clipped_mse(5, 1, norm, q));
  const estimator<central, gaussian, sign_of_slope> signs{
      .epsilon = epsilon, .directions = q, .seed = 1, .shaping = {.magnitude = fine}};
  check_within(measured(signs, origin, inner_product{slope}, slope).mean_squared_error(),
               oracle::sign_mse(5, norm, q));
  const double bias = (1 - oracle::sign_gain(norm)) * norm;
  CHECK(oracle::sign_mse(5, norm, 1e9) == doctest::Approx(bias * bias));
}

TEST_CASE("a clip beyond all slopes changes nothing, and one close to 0 leaves their signs") {
  CHECK(oracle::clipped_gain(1e3, norm) == 1);
  CHECK(oracle::clipped_mse(5, 1e3, norm) ==
        doctest::Approx(oracle::linear_mse(5, oracle::kurtosis::gaussian, norm * norm)));
  CHECK(oracle::clipped_gain(1e-6, norm) / 1e-6 == doctest::Approx(oracle::sign_gain(norm)));
  CHECK(oracle::clipped_mse(5, 1e-6, norm) == doctest::Approx(norm * norm));
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/quadratic_oracles.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <zoqat/zo/differences/forward.hpp>
#include <zoqat/zo/differences/leave_one_out.hpp>
#include <zoqat/zo/differences/one_point.hpp>

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

const std::vector<double> slope{0.5, -1, 2, 0.25};
const std::vector<double> hessian{2,   0.5,  -1,   0,     //
                                  0.5, 1,    0,    0.25,  //
                                  -1,  0,    -0.5, 1,     //
                                  0,   0.25, 1,    3};
const std::vector<float> origin(4);

struct quadratic {
  double value;
  double operator()(std::span<const float> x) const {
    double total = value;
    for (std::size_t i = 0; i != 4; ++i) {
      total += slope[i] * double{x[i]};
      for (std::size_t j = 0; j != 4; ++j) total += hessian[4 * i + j] * double{x[i]} * double{x[j]} / 2;
    }
    return total;
  }
};
const oracle::quadratic_loss numbers = oracle::quadratic_loss::of(0.75, slope, hessian);

template <class Difference, class Distribution>
estimator_error of_quadratic(float epsilon, std::uint32_t q = 1) {
  const estimator<Difference, Distribution> e{.epsilon = per_group<float>::all(epsilon), .directions = q, .seed = 1};
  return measured(e, origin, quadratic{0.75}, slope);
}

}  // namespace

TEST_CASE("the numbers of a quadratic") {
  CHECK(numbers.dimension == 4);
  CHECK(numbers.value == 0.75);
  CHECK(numbers.squared_norm == squared_norm(slope));
  CHECK(numbers.trace == 5.5);
  CHECK(numbers.squared_off_diagonal == 2 * (0.25 + 1 + 0.0625 + 1));
  CHECK(numbers.squared_trace == 4 + 1 + 0.25 + 9 + numbers.squared_off_diagonal);
}

TEST_CASE("pairs see no curvature, at any scale") {
  for (const float epsilon : {0.125f, 1.0f}) {
    const estimator_error e = of_quadratic<central, gaussian>(epsilon);
    check_within(e.mean_squared_error(), oracle::central_quadratic_mse(numbers));
    check_unbiased(e);
  }
}

TEST_CASE("forward differences see all of it") {
  for (const float epsilon : {0.25f, 1.0f}) {
    CAPTURE(epsilon);
    const estimator_error g = of_quadratic<forward, gaussian>(epsilon);
    check_within(g.mean_squared_error(), oracle::forward_quadratic_mse(numbers, double{epsilon}));
    check_unbiased(g);
    const estimator_error r = of_quadratic<forward, rademacher>(epsilon);
    check_within(r.mean_squared_error(), oracle::forward_quadratic_mse_rademacher(numbers, double{epsilon}));
    check_unbiased(r);
  }
  // What directions share, the evaluation at the masters, is not random.
  check_within(of_quadratic<forward, gaussian>(1.0f, 3).mean_squared_error(),
               oracle::forward_quadratic_mse(numbers, 1) / 3);
}

TEST_CASE("one point sees the value of the loss as well") {
  for (const float epsilon : {0.25f, 1.0f}) {
    CAPTURE(epsilon);
    const estimator_error e = of_quadratic<one_point, gaussian>(epsilon);
    check_within(e.mean_squared_error(), oracle::one_point_quadratic_mse(numbers, double{epsilon}));
    check_unbiased(e);
  }
}

TEST_CASE("compared with each other, points see neither the value nor the trace") {
  for (const std::uint32_t q : {2u, 5u}) {
    CAPTURE(q);
    const estimator_error e = of_quadratic<leave_one_out, gaussian>(1.0f, q);
    check_within(e.mean_squared_error(), oracle::leave_one_out_quadratic_mse(numbers, 1, q));
    check_unbiased(e);
  }
  CHECK(oracle::leave_one_out_quadratic_mse(numbers, 1, 4) < oracle::forward_quadratic_mse(numbers, 1) / 3);
}

TEST_CASE("third derivatives bias every difference by the gradient of the Laplacian") {
  // x³ + 2xy² − yz² + ⟨g, (x, y, z)⟩
  const std::vector<double> g{1, -0.5, 0.25};
  const auto cubic = [&](std::span<const float> point) {
    const double x = double{point[0]}, y = double{point[1]}, z = double{point[2]};
    return x * x * x + 2 * x * y * y - y * z * z + g[0] * x + g[1] * y + g[2] * z;
  };
  std::vector<double> third(27);
  third[0] = 6;
  third[0 * 9 + 1 * 3 + 1] = third[1 * 9 + 0 * 3 + 1] = third[1 * 9 + 1 * 3 + 0] = 4;
  third[1 * 9 + 2 * 3 + 2] = third[2 * 9 + 1 * 3 + 2] = third[2 * 9 + 2 * 3 + 1] = -2;
  const auto check = [&](const auto& e, double kurtosis) {
    std::vector<double> mean = oracle::cubic_bias(third, 3, double{e.epsilon.weight}, kurtosis);
    for (std::size_t i = 0; i != 3; ++i) mean[i] += g[i];
    check_unbiased(measured(e, std::vector<float>(3), cubic, mean));
  };
  for (const float scale : {0.25f, 0.75f}) {
    CAPTURE(scale);
    const auto epsilon = per_group<float>::all(scale);
    check(estimator<>{.epsilon = epsilon, .seed = 1}, 3);
    check(estimator<forward>{.epsilon = epsilon, .seed = 1}, 3);
    check(estimator<central, rademacher>{.epsilon = epsilon, .seed = 1}, 1);
  }
  const std::vector<double> bias = oracle::cubic_bias(third, 3, 2);
  CHECK(bias[0] == 20);  // (ε²/2)(6 + 4)
  CHECK(bias[1] == -4);
  CHECK(bias[2] == 0);
}

// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zo/measured.hpp>
#include <zoqat/zo/linear_oracles.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

constexpr float fine = 0x1p-10f;  // a power of two: ε · u is exact
const std::vector<double> slope{0.5, -1, 2, 0.25, 1.5, 0, -0.75};

template <class Distribution>
estimator_error of_linear_loss(const Distribution& elements, std::uint32_t q, std::size_t d = slope.size()) {
  const std::vector<double> g(slope.begin(), slope.begin() + static_cast<std::ptrdiff_t>(d));
  const estimator<central, Distribution> e{
      .epsilon = per_group<float>::all(fine), .directions = q, .seed = 1, .elements = elements};
  return measured(e, std::vector<float>(d), inner_product{g}, g);
}
double squared_norm_of_first(std::size_t d) { return squared_norm(std::span(slope).first(d)); }

}  // namespace

TEST_CASE_TEMPLATE("independent elements: (d - 2 + kurtosis) |g|^2 / q", Distribution, gaussian, rademacher) {
  const double kurtosis =
      std::is_same_v<Distribution, gaussian> ? oracle::kurtosis::gaussian : oracle::kurtosis::rademacher;
  for (const std::size_t d : {std::size_t{1}, slope.size()}) {
    for (const std::uint32_t q : {1u, 3u}) {
      CAPTURE(d);
      CAPTURE(q);
      const estimator_error e = of_linear_loss(Distribution{}, q, d);
      const double expected =
          oracle::linear_mse(static_cast<double>(d), kurtosis, squared_norm_of_first(d), q);
      check_within(e.mean_squared_error(), expected);
      check_within(e.second_moment(), expected + squared_norm_of_first(d));
      check_within(e.projection(), 1);
      check_unbiased(e);
    }
  }
}

TEST_CASE("a single Rademacher element is exact, and any other is not") {
  CHECK(oracle::linear_mse(1, oracle::kurtosis::rademacher, 2) == 0);
  CHECK(of_linear_loss(rademacher{}, 1, 1).mean_squared_error().high < 1e-12);
}

TEST_CASE("the slope of several groups is noise to each of them, and the best scales share it out") {
  const std::vector<double> g{3, 1, 0.1, -0.2, 0.1, 0.1, 0.05, -0.1};  // two strong parameters, six weak ones
  const std::array<oracle::gradient_group, 2> groups{{{2, squared_norm(std::span(g).first(2))},
                                                     {6, squared_norm(std::span(g).subspan(2))}}};
  std::vector<float> strong(2), weak(6);
  parameter_list parameters;
  parameters.add("strong", strong, parameter_group::norm);
  parameters.add("weak", weak, parameter_group::weight);
  const auto mse = [&](const auto& elements, double strong_scale, double weak_scale) {
    const per_group<float> epsilon{.weight = fine * static_cast<float>(weak_scale),
                                   .norm = fine * static_cast<float>(strong_scale)};
    const estimator<central, std::remove_cvref_t<decltype(elements)>> e{.epsilon = epsilon, .seed = 2};
    return measured(e, parameters, inner_product{g}, g).mean_squared_error();
  };
  const std::vector<double> best = oracle::best_group_scales(groups);
  CHECK(best[0] == 1);
  for (const std::array<double, 2>& scales :
       {std::array{1.0, 1.0}, std::array{1.0, 4.0}, std::array{best[0], best[1]}}) {
    check_within(mse(gaussian{}, scales[0], scales[1]), oracle::grouped_mse(groups, scales));
    check_within(mse(rademacher{}, scales[0], scales[1]),
                 oracle::grouped_mse(groups, scales, oracle::kurtosis::rademacher));
  }
  const double least = oracle::grouped_mse(groups, best);
  double sum = 0;
  for (const oracle::gradient_group& group : groups) sum += std::sqrt(group.size * group.squared_norm);
  CHECK(least == doctest::Approx(sum * sum + squared_norm(g)));
  for (const double other : {0.25, 0.9, 1.1, 4.0})
    CHECK(oracle::grouped_mse(groups, std::array{1.0, best[1] * other}) > least);
}

TEST_CASE("groups without parameters or gradient have no best scale") {
  const std::array<oracle::gradient_group, 2> idle{{{3, 1}, {2, 0}}}, none{{{3, 1}, {0, 1}}};
  check_mentions(message_of<value_error>([&] { static_cast<void>(oracle::best_group_scales(idle)); }), "2 parameters");
  check_mentions(message_of<value_error>([&] { static_cast<void>(oracle::best_group_scales(none)); }), "0 parameters");
}

TEST_CASE("coordinates are best drawn in proportion to their gradient") {
  const std::vector<double> p = oracle::best_coordinate_probabilities(slope);
  double total = 0, norm1 = 0;
  for (const double x : p) total += x;
  for (const double x : slope) norm1 += std::abs(x);
  CHECK(total == doctest::Approx(1));
  CHECK(oracle::coordinate_mse(slope, p) == doctest::Approx(norm1 * norm1 - squared_norm(slope)));
  const std::vector<double> even(slope.size(), 1.0 / 7);
  CHECK(oracle::coordinate_mse(slope, even) == doctest::Approx(6 * squared_norm(slope)));
  CHECK(oracle::coordinate_mse(slope, p) < oracle::coordinate_mse(slope, even));
  const auto flat = [] { static_cast<void>(oracle::best_coordinate_probabilities(std::vector<double>(3))); };
  check_mentions(message_of<value_error>(flat), "the gradient is 0");
}

TEST_CASE("all d orthogonal directions leave no error") {
  CHECK(oracle::orthogonal_mse(7, 3, 7) == 0);
  CHECK(oracle::orthogonal_mse(7, 3, 1) == oracle::sphere_mse(7, 3));
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/linear_oracles.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <support/errors.hpp>
#include <zoqat/lab/quantized_oracles.hpp>
#include <zoqat/zo/differences/leave_one_out.hpp>
#include <zoqat/zo/directions/coordinate.hpp>
#include <zoqat/zo/directions/low_rank.hpp>
#include <zoqat/zo/directions/orthogonal.hpp>
#include <zoqat/zo/directions/partition.hpp>
#include <zoqat/zo/directions/quantized.hpp>
#include <zoqat/zo/directions/sparse.hpp>
#include <zoqat/zo/directions/sphere.hpp>
#include <zoqat/zo/directions/uniform.hpp>
#include <zoqat/zo/scales/group_scales.hpp>

#include <array>
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
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

constexpr float fine = 0x1p-10f;  // a power of two: ε · u is exact
const std::vector<double> slope{0.5, -1, 2, 0.25, 1.5, 0, -0.75};

template <class Distribution>
estimator<central, Distribution> pair_along(const Distribution& elements, std::uint32_t q = 1) {
  return {.epsilon = per_group<float>::all(fine), .directions = q, .seed = 1, .distribution = elements};
}
template <class Distribution>
estimator_error of_linear_loss(const Distribution& elements, std::uint32_t q, std::size_t d = slope.size()) {
  const std::vector<double> g(slope.begin(), slope.begin() + static_cast<std::ptrdiff_t>(d));
  return measured(pair_along(elements, q), std::vector<float>(d), inner_product{g}, g);
}
double squared_norm_of_first(std::size_t d) { return squared_norm(std::span(slope).first(d)); }

/// One tensor of a list, as a store: estimates of it alone, from losses that depend on all.
struct part_of_list {
  const parameter_list& all;
  std::size_t only;

  template <class F>
  void for_each_parameter(F&& visit) const {
    visit(all[only]);
  }
};

/// The mean product of the squares of two roundings of a Gaussian element to multiples of a step, the same twice and
/// two independent ones.
struct products_of_roundings {
  double same = 0, independent = 0;
  explicit products_of_roundings(double step) {
    constexpr double h = 1e-3;
    for (double u = -8; u < 8; u += h) {
      const double low = std::floor(u / step) * step, high = low + step, up = (u - low) / step;
      const double square = low * low * (1 - up) + high * high * up;
      same += (std::pow(low, 4) * (1 - up) + std::pow(high, 4) * up) * normal::density(u) * h;
      independent += square * square * normal::density(u) * h;
    }
  }
};

/// Gram and Schmidt on columns of so many rows, one after the other.
void make_orthonormal(std::span<double> columns, std::size_t rows) {
  for (std::size_t at = 0; at != columns.size(); at += rows) {
    const std::span<double> column = columns.subspan(at, rows);
    for (std::size_t other = 0; other != at; other += rows) {
      double shared = 0;
      for (std::size_t i = 0; i != rows; ++i) shared += column[i] * columns[other + i];
      for (std::size_t i = 0; i != rows; ++i) column[i] -= shared * columns[other + i];
    }
    const double length = std::sqrt(squared_norm(column));
    for (double& x : column) x /= length;
  }
}

}  // namespace

TEST_CASE_TEMPLATE("independent elements: (d - 2 + kurtosis) |g|^2 / q", Distribution, gaussian, rademacher) {
  const double kurtosis =
      std::is_same_v<Distribution, gaussian> ? oracle::kurtosis::gaussian : oracle::kurtosis::rademacher;
  for (const std::size_t d : {std::size_t{1}, slope.size()}) {
    for (const std::uint32_t q : {1u, 3u}) {
      CAPTURE(d);
      CAPTURE(q);
      const estimator_error e = of_linear_loss(Distribution{}, q, d);
      const double expected = oracle::linear_mse(static_cast<double>(d), kurtosis, squared_norm_of_first(d), q);
      check_within(e.mean_squared_error(), expected);
      check_within(e.second_moment(), expected + squared_norm_of_first(d));
      check_within(e.projection(), 1);
      check_unbiased(e);
    }
  }
}

TEST_CASE("elements of other kurtosis") {
  const double d = static_cast<double>(slope.size()), g2 = squared_norm(slope);
  const auto check = [&](const auto& elements, double kurtosis) {
    CAPTURE(elements.name());
    const estimator_error e = of_linear_loss(elements, 1);
    check_within(e.mean_squared_error(), oracle::linear_mse(d, kurtosis, g2));
    check_unbiased(e);
  };
  check(uniform{}, oracle::kurtosis::uniform);
  check(sparse_gaussian(0.25), oracle::kurtosis::sparse_gaussian(0.25));
  check(sparse_rademacher(0.25), oracle::kurtosis::sparse_rademacher(0.25));
  const estimator_error e = of_linear_loss(sphere{}, 1);
  check_within(e.mean_squared_error(), oracle::sphere_mse(d, g2));
  check_unbiased(e);
}

TEST_CASE("orthogonal directions share the space out among themselves") {
  std::vector<double> g = slope;
  g.push_back(-0.5);  // d = 8: a multiple of every q
  for (const std::uint32_t q : {2u, 4u}) {
    CAPTURE(q);
    const auto check = [&](const auto& elements) {
      const estimator<central, std::remove_cvref_t<decltype(elements)>> e{
          .epsilon = per_group<float>::all(fine), .directions = q, .seed = 1, .distribution = elements};
      const estimator_error error = measured(e, std::vector<float>(8), inner_product{g}, g);
      check_within(error.mean_squared_error(), oracle::orthogonal_mse(8, squared_norm(g), q));
      check_unbiased(error);
    };
    check(orthogonal{});
    check(partition(q));
  }
  const estimator<central, orthogonal> all{.epsilon = per_group<float>::all(fine), .directions = 8};
  const sampling few{.samples = 100};
  CHECK(measured(all, std::vector<float>(8), inner_product{g}, g, few).mean_squared_error().high < 1e-11);
}

TEST_CASE("directions of low rank: more error than Gaussian ones, the less the higher the rank") {
  const std::vector<double> g{0.5, -1, 2, 0.25, 1.5, 0, -0.75, 1, -0.5, 0.25, 1, -2};
  const std::vector<float> unit(4, 1.0f);  // a matrix of [4, 3]
  std::vector<float> at(12);
  parameter_list parameters;
  parameters.add("matrix", at, parameter_group::weight, unit);
  for (const std::size_t rank : {2u, 5u}) {
    CAPTURE(rank);
    const estimator<central, low_rank> e{
        .epsilon = per_group<float>::all(fine), .seed = 1, .distribution = low_rank(rank)};
    const estimator_error error = measured(e, parameters, inner_product{g}, g);
    check_within(error.mean_squared_error(), oracle::low_rank_mse(4, 3, static_cast<double>(rank), squared_norm(g)));
    check_unbiased(error);
  }
}

TEST_CASE("directions of a random subspace: more error than Gaussian ones by what the core's length varies") {
  constexpr std::size_t m = 4, n = 3, r = 2;
  const std::vector<double> g{0.5, -1, 2, 0.25, 1.5, 0, -0.75, 1, -0.5, 0.25, 1, -2};
  const auto make = [&] {
    return [&](std::uint32_t step, std::span<double> out) {
      std::array<float, (m + n + r) * r> drawn;
      simd::default_kernels::gaussian({.seed = 6, .step = step}, 0, drawn.data(), drawn.size());
      const auto orthonormal = [&](std::size_t first, std::size_t rows) {
        std::vector<double> columns(drawn.begin() + static_cast<std::ptrdiff_t>(first),
                                    drawn.begin() + static_cast<std::ptrdiff_t>(first + rows * r));
        make_orthonormal(columns, rows);
        return columns;
      };
      const std::vector<double> u = orthonormal(0, m), v = orthonormal(m * r, n);
      const float* const core = drawn.data() + (m + n) * r;
      double s = 0;
      for (std::size_t i = 0; i != m * n; ++i) {
        out[i] = 0;
        for (std::size_t a = 0; a != r; ++a)
          for (std::size_t b = 0; b != r; ++b)
            out[i] += std::sqrt(1.0 * m * n) / r * u[a * m + i / n] * double{core[a * r + b]} * v[b * n + i % n];
        s += g[i] * out[i];
      }
      for (double& x : out) x *= s;
      return true;
    };
  };
  const estimator_error error = measure_samples(g, make, {.samples = full_sample}, measuring_threads());
  const double expected = oracle::subspace_mse(m, n, r, squared_norm(g));
  CHECK(expected == doctest::Approx((12 * 1.5 - 1) * squared_norm(g)));
  check_within(error.mean_squared_error(), expected);
  check_unbiased(error);
}

TEST_CASE("single coordinates, drawn by importance, have least error in proportion to the gradient") {
  point_store store(std::vector<float>(slope.size()));
  const std::vector<double> some{0.1, 0.2, 0.1, 0.05, 0.3, 0.05, 0.2};
  for (const std::vector<double>& p : {some, oracle::best_coordinate_probabilities(slope)}) {
    const coordinate elements(store.parameters, [&](const parameter&, std::size_t i) { return p[i]; });
    const estimator<central, coordinate> e{
        .epsilon = per_group<float>::all(fine), .seed = 1, .distribution = elements};
    const estimator_error error = measured(e, store.parameters, inner_product{slope}, slope);
    check_within(error.mean_squared_error(), oracle::coordinate_mse(slope, p));
    check_unbiased(error);
  }
}

TEST_CASE("directions that are rounded once make the gradient longer, and those that are rounded twice do not") {
  const double d = static_cast<double>(slope.size()), g2 = squared_norm(slope);
  for (const int bits : {3, 5}) {
    CAPTURE(bits);
    const quantized_gaussian same(bits, roundings::same), independent(bits);
    const double step = double{same.step()};
    // The variance of rounding u/Δ is {u/Δ}(1 − {u/Δ}), the spread of a pair at ε = 1/2.
    const double variance = step * step * oracle::rounding_variance::at(step, 0.5).mean;
    const double gain = oracle::rounded_direction_gain(variance);
    std::vector<double> stretched = slope;
    for (double& x : stretched) x *= gain;
    const products_of_roundings products(step);
    const estimator_error once =
        measured(pair_along(same), std::vector<float>(slope.size()), inner_product{slope}, stretched);
    check_unbiased(once);
    check_within(once.projection(), 1);
    check_within(once.second_moment(), oracle::rounded_direction_second_moment(d, g2, variance, products.same));
    const estimator_error twice = of_linear_loss(independent, 1);
    check_unbiased(twice);
    check_within(twice.projection(), 1);
    check_within(twice.second_moment(),
                 oracle::rounded_direction_second_moment(d, g2, variance, products.independent));
  }
}

TEST_CASE("a direction that is compared with the mean of the others costs a part of itself") {
  const double d = static_cast<double>(slope.size()), g2 = squared_norm(slope);
  for (const std::uint32_t q : {2u, 5u}) {
    CAPTURE(q);
    const auto check = [&](const auto& elements, double kurtosis) {
      const estimator<leave_one_out, std::remove_cvref_t<decltype(elements)>> e{
          .epsilon = per_group<float>::all(fine), .directions = q, .seed = 1};
      const estimator_error error = measured(e, std::vector<float>(slope.size()), inner_product{slope}, slope);
      check_within(error.mean_squared_error(), oracle::leave_one_out_mse(d, kurtosis, g2, q));
      check_unbiased(error);
    };
    check(gaussian{}, oracle::kurtosis::gaussian);
    check(rademacher{}, oracle::kurtosis::rademacher);
  }
}

TEST_CASE("a single Rademacher element is exact, and any other is not") {
  CHECK(oracle::linear_mse(1, oracle::kurtosis::rademacher, 2) == 0);
  CHECK(of_linear_loss(rademacher{}, 1, 1).mean_squared_error().high < 1e-12);
}

TEST_CASE("the slope of several groups is noise to each of them, and the best scales share it out") {
  const std::vector<double> g{3, 1, 0.1, -0.2, 0.1, 0.1, 0.05, -0.1};  // two strong parameters, six weak ones
  const std::array<oracle::gradient_group, 2> groups{
      {{2, squared_norm(std::span(g).first(2))}, {6, squared_norm(std::span(g).subspan(2))}}};
  std::vector<float> strong(2), weak(6);
  parameter_list parameters;
  parameters.add("strong", strong, parameter_group::norm);
  parameters.add("weak", weak, parameter_group::weight);
  const auto check_groups = [&](const auto& elements, const std::array<double, 2>& scales, double kurtosis) {
    const per_group<float> epsilon{.weight = fine * static_cast<float>(scales[1]),
                                   .norm = fine * static_cast<float>(scales[0])};
    const estimator<central, std::remove_cvref_t<decltype(elements)>> e{.epsilon = epsilon, .seed = 2};
    const auto whole = [&] { return point_objective(parameters, inner_product{g}); };
    for (const std::size_t k : {0u, 1u}) {  // the sum of both is the error of all
      CAPTURE(k);
      part_of_list group{parameters, k};
      const std::span<const double> truth = std::span(g).subspan(k == 0 ? 0 : 2, total_size(group));
      const estimator_error error = measure(e, group, whole, truth, {.samples = full_sample}, measuring_threads());
      check_within(error.mean_squared_error(), oracle::group_mse(groups, scales, k, kurtosis));
      check_unbiased(error);
    }
  };
  const per_group<float> scales_of_groups =
      best_scales({.weight = groups[1].size, .norm = groups[0].size},
                  {.weight = std::sqrt(groups[1].squared_norm), .norm = std::sqrt(groups[0].squared_norm)}, 1);
  const std::array<double, 2> best{double{scales_of_groups.norm}, double{scales_of_groups.weight}};
  for (const std::array<double, 2>& scales : {std::array{1.0, 1.0}, std::array{1.0, 4.0}, best}) {
    check_groups(gaussian{}, scales, oracle::kurtosis::gaussian);
    check_groups(rademacher{}, scales, oracle::kurtosis::rademacher);
  }
  const double least = oracle::grouped_mse(groups, best);
  CHECK(least == doctest::Approx(oracle::least_grouped_mse(groups)).epsilon(1e-6));
  for (const double other : {0.25, 0.9, 1.1, 4.0})
    CHECK(oracle::grouped_mse(groups, std::array{best[0], best[1] * other}) > least);
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

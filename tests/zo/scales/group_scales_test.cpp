// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/scales/group_scales.hpp>

#include <doctest/doctest.h>
#include <zoqat/core/error.hpp>

#include <cmath>

using namespace zoqat;
using namespace zoqat::zo;

namespace {

constexpr per_group<double> sizes{.weight = 1e6, .clipping = 40, .norm = 1000};
constexpr per_group<double> slopes{.weight = 2, .clipping = 10, .norm = 0.1};

// Σ_k d_k Σ_j ε_j²‖g_j‖² / ε_k², and the slope's mean square.
struct error_of {
  double error = 0, power = 0;
  explicit error_of(const per_group<float>& epsilon) {
    for (const parameter_group g : all_parameter_groups) power += std::pow(double{epsilon[g]} * slopes[g], 2);
    for (const parameter_group g : all_parameter_groups)
      if (epsilon[g] > 0) error += sizes[g] * power / std::pow(double{epsilon[g]}, 2);
  }
};

}  // namespace

TEST_CASE("the best scales have the least error, lead to the slope, and no other has less") {
  const per_group<float> best = best_scales(sizes, slopes, 0.01);
  const error_of at_best(best);
  CHECK(std::sqrt(at_best.power) == doctest::Approx(0.01));
  const double sum = std::sqrt(1e6) * 2 + std::sqrt(40.0) * 10 + std::sqrt(1000.0) * 0.1;
  CHECK(at_best.error == doctest::Approx(sum * sum));
  CHECK(best.smoothing == 0);
  for (const parameter_group group : {parameter_group::weight, parameter_group::clipping, parameter_group::norm})
    for (const float factor : {0.5f, 0.9f, 1.1f, 2.0f}) {
      per_group<float> other = best;
      other[group] *= factor;
      CHECK(error_of(other).error > at_best.error * (1 + 1e-9));
    }
  per_group<float> even;
  for (const parameter_group group : all_parameter_groups)
    if (sizes[group] > 0) even[group] = 1e-3f;
  CHECK(error_of(even).error > 10 * at_best.error);
}

TEST_CASE("groups that cannot be weighed are errors") {
  CHECK_THROWS_AS((void)best_scales(sizes, {.weight = 1}, 1), value_error);
  CHECK_THROWS_AS((void)best_scales({.weight = -1}, slopes, 1), value_error);
  CHECK_THROWS_AS((void)best_scales(sizes, slopes, 0), value_error);
  CHECK(best_scales({}, {}, 1) == per_group<float>{});
}

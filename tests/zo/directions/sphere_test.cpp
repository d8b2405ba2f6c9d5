// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/sphere.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("elements of spheres are functions of their place in the tensor") { check_elements(sphere()); }

TEST_CASE("reads, sweeps and updates go along spheres") { check_use(sphere()); }

TEST_CASE("every run is a Gaussian vector of the length √(its size)") {
  swept_tensors store;
  const direction along{1, 2, 3};
  store.for_each_parameter([&](const parameter& p) {
    const auto u = filled(sphere(), along, p, 0, p.size());
    const auto z = filled(gaussian(), along, p, 0, p.size());
    for (std::size_t begin = 0; begin < p.size(); begin += sphere::run) {
      const std::size_t n = std::min(sphere::run, p.size() - begin);
      double squares = 0;
      for (std::size_t i = begin; i != begin + n; ++i) {
        squares += double{u[i]} * double{u[i]};
        CHECK(double{u[i]} * double{z[begin]} == doctest::Approx(double{z[i]} * double{u[begin]}).epsilon(1e-5));
      }
      CHECK(squares == doctest::Approx(static_cast<double>(n)).epsilon(1e-6));
    }
  });
}

TEST_CASE("E‖ĝ‖² along spheres is d‖g‖²") {
  small_matrix_and_vector store;
  const auto g = numbers(16, 20);
  const auto moments = linear_moments(store, sphere(), g, 1, 40000);
  moments.check_mean(g);
  moments.check_power(16 * dot(g, g), 0.05);
}

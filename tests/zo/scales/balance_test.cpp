// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/scales/balance.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zo/bowl.hpp>
#include <zo/problems.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

TEST_CASE("on a quadratic the balanced epsilons are sqrt(2 elevation / trace)") {
  tensors store = three_groups();
  const auto scales = balance(store, objective_of(store, rademacher(), three_curvatures()), patient());
  CHECK(scales.loss == doctest::Approx(2));
  CHECK(scales.elevation == doctest::Approx(0.06 * 2));
  CHECK(scales.elements == per_group<double>{.weight = 6, .smoothing = 1, .norm = 2});
  CHECK(scales.epsilon.weight == doctest::Approx(std::sqrt(0.08 / 3)).epsilon(1e-4));
  CHECK(scales.epsilon.smoothing == doctest::Approx(std::sqrt(0.08 / 400)).epsilon(1e-4));
  CHECK(scales.epsilon.norm == doctest::Approx(std::sqrt(0.08 / (0.2 * 9 + 0.2 * 16))).epsilon(1e-4));
  CHECK(scales.epsilon.clipping == 0);
}

TEST_CASE("all groups together raise the loss by what was asked for, away from the bottom too") {
  tensors store = three_groups();
  bowl f = three_curvatures();
  f.t = {1, -1, 0.5, 2, 0, 1, 0.01, 1, -1};
  const auto loss = objective_of(store, rademacher(), f);
  const auto scales = balance(store, loss, patient());
  const perturbation forward{{99, 0, 0}, scales.epsilon};
  const perturbation lanes[] = {forward, -forward, {{99, 0, 0}, {}}};
  double losses[3];
  loss(std::span<const perturbation>(lanes), 0, std::span<double>(losses));
  CHECK((losses[0] + losses[1]) / 2 - losses[2] == doctest::Approx(0.06 * losses[2]).epsilon(1e-3));
}

TEST_CASE("groups that are left out get no epsilon and no share of the elevation") {
  tensors store = three_groups();
  balance_options options = patient();
  options.groups.smoothing = false;
  const auto scales = balance(store, objective_of(store, rademacher(), three_curvatures()), options);
  CHECK(scales.epsilon.smoothing == 0);
  CHECK(scales.elevation == doctest::Approx(0.06 * 2));
  CHECK(scales.epsilon.weight == doctest::Approx(std::sqrt(0.12 / 3)).epsilon(1e-4));
}

TEST_CASE("a group that raises nothing, or lowers the loss, goes as far as it may") {
  for (const double curvature : {0.0, -1e-3}) {
    tensors store = three_groups();
    bowl f = three_curvatures();
    f.h[6] = curvature;
    balance_options options = patient();
    options.largest_epsilon = 0.3f;
    CHECK(balance(store, objective_of(store, rademacher(), f), options).epsilon.smoothing == 0.3f);
  }
}

TEST_CASE("balancing leaves the masters as they are") {
  tensors store = assorted();
  const auto before = bits_of(store.values());
  (void)balance(store,
                objective_of(store, gaussian(),
                             [](std::span<const float> x, std::size_t) {
                               double total = 1;
                               for (const float v : x) total += double{v} * v;
                               return total;
                             }),
                {});
  CHECK(bits_of(store.values()) == before);
}

TEST_CASE("what cannot be balanced is an error") {
  tensors store = three_groups();
  const auto constant_loss = [&](double value) {
    return [value](std::span<const perturbation>, std::size_t, std::span<double> losses) {
      for (double& loss : losses) loss = value;
    };
  };
  check_mentions(message_of<value_error>([&] { (void)balance(store, constant_loss(NAN), {}); }), "balance", "nan");
  check_mentions(message_of<value_error>([&] { (void)balance(store, constant_loss(0), {}); }), "balance",
                 "loss of 0");
  CHECK_THROWS_AS((void)balance(store, constant_loss(1), {.probes = 0}), value_error);
  CHECK_THROWS_AS((void)balance(store, constant_loss(1), {.rounds = 0}), value_error);
  CHECK_THROWS_AS((void)balance(store, constant_loss(1), {.relative_elevation = 0}), value_error);
  CHECK_NOTHROW((void)balance(store, constant_loss(1), {}));
}

// --- For least error -----------------------------------------------------------------------------------------------

namespace {

const balanced_scales two_groups{.epsilon = {.weight = 0.1f, .norm = 0.02f},
                                 .elevation = 0.5,
                                 .loss = 10,
                                 .elements = {.weight = 1000, .norm = 10}};

// Σ d_k / ε_k², and what the scales add to the loss.
struct error_of {
  double error = 0, elevation = 0;
  explicit error_of(const per_group<float>& epsilon) {
    for (const parameter_group g : all_parameter_groups)
      if (two_groups.epsilon[g] > 0) {
        error += two_groups.elements[g] / std::pow(double{epsilon[g]}, 2);
        elevation += 0.25 * std::pow(double{epsilon[g]} / double{two_groups.epsilon[g]}, 2);
      }
  }
};

}  // namespace

TEST_CASE("scales of least error raise the loss as balanced ones do, and no others that do so have less") {
  const auto best = for_least_error(two_groups, {.smallest_epsilon = 0, .largest_epsilon = 100});
  const error_of at_best(best.epsilon);
  CHECK(best.elevation == doctest::Approx(0.5));
  CHECK(at_best.elevation == doctest::Approx(0.5));
  CHECK(best.epsilon.smoothing == 0);
  CHECK(best.loss == 10);
  const double h_weight = 0.25 / 0.01, h_norm = 0.25 / 0.0004;
  const double expected = std::pow(std::sqrt(1000 * h_weight) + std::sqrt(10 * h_norm), 2) / 0.5;
  CHECK(at_best.error == doctest::Approx(expected).epsilon(1e-5));
  CHECK(error_of(two_groups.epsilon).error > 1.1 * at_best.error);
  for (const double factor : {0.7, 0.9, 1.1, 1.3}) {
    per_group<float> other = best.epsilon;
    other.weight *= static_cast<float>(factor);
    const double left = 0.5 - 0.25 * std::pow(double{other.weight} / 0.1, 2);
    if (left <= 0) continue;
    other.norm = static_cast<float>(0.02 * std::sqrt(left / 0.25));
    CHECK(error_of(other).elevation == doctest::Approx(0.5));
    CHECK(error_of(other).error > at_best.error);
  }
}

TEST_CASE("scales of least error keep to the bounds, and their elevation is what they then add") {
  const auto best = for_least_error(two_groups, {.smallest_epsilon = 0.018f, .largest_epsilon = 0.11f});
  CHECK(best.epsilon.weight == 0.11f);
  CHECK(best.epsilon.norm == 0.018f);
  CHECK(best.elevation == doctest::Approx(error_of(best.epsilon).elevation));
}

TEST_CASE("nothing that moves leaves nothing to apportion") {
  CHECK(for_least_error({.epsilon = {}}).epsilon == per_group<float>{});
}

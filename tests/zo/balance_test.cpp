// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/balance.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zo/bowl.hpp>
#include <zo/problems.hpp>
#include <zoqat/zo/dense_gradient.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/group_scales.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
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
  (void)balance(store, objective_of(store, gaussian(), [](std::span<const float> x, std::size_t) {
    double total = 1;
    for (const float v : x) total += double{v} * v;
    return total;
  }), {});
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

TEST_CASE("the gradient of a group is the root mean square of its slopes, in units of its parameters") {
  tensors store = three_groups();
  bowl f = three_curvatures();
  f.t = {1, 0, 0, 0, 0, 0, 0.01, 0, 0};  // one element of each group counts, so that every slope is the same
  const auto scales = balance(store, objective_of(store, rademacher(), f), patient());
  CHECK(scales.gradient.weight == doctest::Approx(0.5));
  CHECK(scales.gradient.smoothing == doctest::Approx(4));
  CHECK(scales.gradient.norm == 0);
}

// --- For least error -----------------------------------------------------------------------------------------------

TEST_CASE("scales of least error are those of best_scales, and raise the loss no more than balanced ones") {
  const balanced_scales balanced{.epsilon = {.weight = 0.1f, .norm = 0.02f},
                                 .elevation = 0.5,
                                 .loss = 10,
                                 .elements = {.weight = 1000, .norm = 10},
                                 .gradient = {.weight = 2, .norm = 0.3}};
  const auto best = for_least_error(balanced, {.smallest_epsilon = 0, .largest_epsilon = 100});
  const auto plain = best_scales(balanced.elements, balanced.gradient, 1);
  CHECK(best.epsilon.weight / best.epsilon.norm == doctest::Approx(plain.weight / plain.norm));
  CHECK(best.elevation == doctest::Approx(0.5));
  const auto risen = 0.25 * (std::pow(best.epsilon.weight / 0.1, 2) + std::pow(best.epsilon.norm / 0.02, 2));
  CHECK(risen == doctest::Approx(0.5));
  CHECK(best.epsilon.smoothing == 0);
  CHECK(best.loss == 10);
}

TEST_CASE("scales of least error keep to the bounds, and their elevation is what they then add") {
  const balanced_scales balanced{.epsilon = {.weight = 0.1f, .norm = 0.02f},
                                 .elevation = 0.5,
                                 .loss = 10,
                                 .elements = {.weight = 1e6, .norm = 1},
                                 .gradient = {.weight = 1e-3, .norm = 100}};
  const auto best = for_least_error(balanced, {.smallest_epsilon = 0.01f, .largest_epsilon = 0.12f});
  CHECK(best.epsilon.weight == 0.12f);
  CHECK(best.epsilon.norm == 0.01f);
  CHECK(best.elevation == doctest::Approx(0.25 * (1.2 * 1.2 + 0.5 * 0.5)));
}

TEST_CASE("a group that moved nothing keeps its scale and its share") {
  const balanced_scales balanced{.epsilon = {.weight = 0.1f, .smoothing = 0.05f, .norm = 0.02f},
                                 .elevation = 0.6,
                                 .loss = 10,
                                 .elements = {.weight = 1000, .smoothing = 5, .norm = 10},
                                 .gradient = {.weight = 2, .smoothing = 0, .norm = 0.3}};
  const auto best = for_least_error(balanced, {.smallest_epsilon = 0, .largest_epsilon = 100});
  CHECK(best.epsilon.smoothing == 0.05f);
  CHECK(best.elevation == doctest::Approx(0.6));
}

TEST_CASE("on a bowl estimates at scales of least error are nearer to the gradient") {
  tensors store = three_groups();
  bowl f = three_curvatures();
  f.t = {1, -1, 0.5, 2, 0, 1, 0.01, 1, -1};
  const auto loss = objective_of(store, rademacher(), f);
  const auto balanced = balance(store, loss, patient());
  const auto error = [&](const per_group<float>& epsilon) {
    const estimator<central, rademacher> e{.epsilon = epsilon, .seed = 3};
    const std::vector<double> unit{1, 1, 1, 1, 1, 1, 1, 3, 4};
    std::vector<double> one(9);
    double total = 0;
    for (std::uint32_t step = 0; step != 4000; ++step) {
      dense_gradient(rademacher(), e(step, loss), store, one);
      for (std::size_t i = 0; i != 9; ++i) total += std::pow(one[i] + f.h[i] * f.t[i] * unit[i], 2) / 4000;
    }
    return total;
  };
  CHECK(error(for_least_error(balanced, patient()).epsilon) < 0.9 * error(balanced.epsilon));
}

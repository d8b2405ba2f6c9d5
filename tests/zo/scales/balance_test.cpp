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

namespace {

template <class F>
balanced_scales balanced(tensors& store, const F& f, const balance_options& options) {
  auto loss = objective_of(store, rademacher(), f);
  return balance(store, loss, rademacher(), options);
}

}  // namespace

TEST_CASE("on a quadratic the balanced epsilons are sqrt(2 elevation / trace)") {
  tensors store = three_groups();
  const auto scales = balanced(store, three_curvatures(), patient());
  CHECK(scales.loss == doctest::Approx(2));
  CHECK(scales.loss_increase == doctest::Approx(0.06 * 2));
  CHECK(scales.count == per_group<double>{.weight = 6, .smoothing = 1, .norm = 2});
  CHECK(scales.epsilon.weight == doctest::Approx(std::sqrt(0.08 / 3)).epsilon(1e-4));
  CHECK(scales.epsilon.smoothing == doctest::Approx(std::sqrt(0.08 / 400)).epsilon(1e-4));
  CHECK(scales.epsilon.norm == doctest::Approx(std::sqrt(0.08 / (0.2 * 9 + 0.2 * 16))).epsilon(1e-4));
  CHECK(scales.epsilon.clipping == 0);
}

TEST_CASE("all groups together raise the loss by what was asked for, away from the bottom too") {
  tensors store = three_groups();
  bowl f = three_curvatures();
  f.t = {1, -1, 0.5, 2, 0, 1, 0.01, 1, -1};
  auto loss = objective_of(store, rademacher(), f);
  const auto scales = balance(store, loss, rademacher(), patient());
  const perturbation forward{{99, 0, 0}, scales.epsilon};
  const perturbation lanes[] = {forward, -forward, {{99, 0, 0}, {}}};
  double losses[3];
  loss({lanes, {}}, 0, std::span<double>(losses));
  CHECK((losses[0] + losses[1]) / 2 - losses[2] == doctest::Approx(0.06 * losses[2]).epsilon(1e-3));
}

TEST_CASE("groups that are left out get no epsilon and no share of the elevation") {
  tensors store = three_groups();
  balance_options options = patient();
  options.groups.smoothing = false;
  const auto scales = balanced(store, three_curvatures(), options);
  CHECK(scales.epsilon.smoothing == 0);
  CHECK(scales.loss_increase == doctest::Approx(0.06 * 2));
  CHECK(scales.epsilon.weight == doctest::Approx(std::sqrt(0.12 / 3)).epsilon(1e-4));
}

TEST_CASE("a group that raises nothing, or lowers the loss, goes as far as it may") {
  for (const double curvature : {0.0, -1e-3}) {
    tensors store = three_groups();
    bowl f = three_curvatures();
    f.h[6] = curvature;
    balance_options options = patient();
    options.largest_epsilon = 0.3f;
    CHECK(balanced(store, f, options).epsilon.smoothing == 0.3f);
  }
}

TEST_CASE("balancing leaves the masters as they are") {
  tensors store;
  store.add(parameter_group::weight, floats(2500, 3));
  store.add(parameter_group::norm, floats(33, 6), floats(33, 7));
  const auto before = bits_of(store.values());
  auto loss = objective_of(store, gaussian(), [](std::span<const float> x, std::size_t) {
    double total = 1;
    for (const float v : x) total += double{v} * v;
    return total;
  });
  (void)balance(store, loss, gaussian());
  CHECK(bits_of(store.values()) == before);
}

TEST_CASE("what cannot be balanced is an error") {
  tensors store = three_groups();
  const auto try_constant = [&](double value, const balance_options& options) {
    auto loss = [value](const auto&, std::size_t, std::span<double> losses) { std::ranges::fill(losses, value); };
    (void)balance(store, loss, rademacher(), options);
  };
  check_mentions(message_of<value_error>([&] { try_constant(NAN, {}); }), "balance", "nan");
  check_mentions(message_of<value_error>([&] { try_constant(0, {}); }), "balance", "loss of 0");
  CHECK_THROWS_AS(try_constant(1, {.probes = 0}), value_error);
  CHECK_THROWS_AS(try_constant(1, {.rounds = 0}), value_error);
  CHECK_THROWS_AS(try_constant(1, {.relative_loss_increase = 0}), value_error);
  CHECK_NOTHROW(try_constant(1, {}));
}

TEST_CASE("the increase that is reported is the one that is reached, whatever the size of the weights") {
  // 1 + 1000 |w|² of a thousand weights without units: the right ε is 2e-4, far below what a quantizer's step allows.
  for (const float size : {0.0f, 1e-3f, 1.0f, 100.0f}) {
    CAPTURE(size);
    tensors store;
    store.add(parameter_group::weight, std::vector<float>(1000, size));
    auto loss = objective_of(store, rademacher(), [](std::span<const float> x, std::size_t) {
      double total = 1;
      for (const float v : x) total += 1000 * double{v} * double{v};
      return total;
    });
    const auto scales = balance(store, loss, rademacher());
    const double expected = 1e6 * std::pow(double{scales.epsilon.weight}, 2);
    CHECK(scales.loss_increase == doctest::Approx(expected).epsilon(0.01));
    CHECK(scales.loss_increase == doctest::Approx(scales.aimed_increase).epsilon(0.6));
    CHECK_FALSE(scales.at_bound.weight);
  }
}

TEST_CASE("an epsilon that stops at a bound is said, and the increase is what is reached there") {
  tensors store = three_groups();
  bowl f = three_curvatures();
  f.h[6] = 0;
  balance_options options = patient();
  options.largest_epsilon = 0.3f;
  const auto scales = balanced(store, f, options);
  CHECK(scales.at_bound.smoothing);
  CHECK_FALSE(scales.at_bound.norm);
}

TEST_CASE("weights of which only some have units cannot share an epsilon") {
  tensors store;
  store.add(parameter_group::weight, {1, 2, 3, 4}, {0.1f, 0.2f});
  store.add(parameter_group::weight, {1, 2, 3, 4});
  const auto one = [](std::span<const float>, std::size_t) { return 1.0; };
  check_mentions(message_of<value_error>([&] { (void)balanced(store, one, {}); }), "balance", "units");
}

// --- For least error -----------------------------------------------------------------------------------------------

namespace {

const balanced_scales two_groups{.epsilon = {.weight = 0.1f, .norm = 0.02f},
                                 .loss_increase = 0.5,
                                 .loss = 10,
                                 .count = {.weight = 1000, .norm = 10}};

// Σ d_k / ε_k², and what the scales add to the loss.
struct error_of {
  double error = 0, loss_increase = 0;
  explicit error_of(const per_group<float>& epsilon) {
    for (const parameter_group g : all_parameter_groups)
      if (two_groups.epsilon[g] > 0) {
        error += two_groups.count[g] / std::pow(double{epsilon[g]}, 2);
        loss_increase += 0.25 * std::pow(double{epsilon[g]} / double{two_groups.epsilon[g]}, 2);
      }
  }
};

// The loss that rises so.
const auto increases = [](const lane_points<rademacher>& lanes, std::size_t, std::span<double> losses) {
  for (std::size_t i = 0; i != lanes.size(); ++i) losses[i] = 10 + error_of(lanes[i].scale).loss_increase;
};

}  // namespace

TEST_CASE("scales of least error raise the loss as balanced ones do, and no others that do so have less") {
  auto loss = increases;
  const auto best = for_least_error(two_groups, loss, rademacher(), {.smallest_epsilon = 0, .largest_epsilon = 100});
  const error_of at_best(best.epsilon);
  CHECK(best.loss_increase == doctest::Approx(0.5));
  CHECK(at_best.loss_increase == doctest::Approx(0.5));
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
    CHECK(error_of(other).loss_increase == doctest::Approx(0.5));
    CHECK(error_of(other).error > at_best.error);
  }
}

TEST_CASE("scales of least error keep to the bounds, and their elevation is what they then add") {
  auto loss = increases;
  const auto best =
      for_least_error(two_groups, loss, rademacher(), {.smallest_epsilon = 0.018f, .largest_epsilon = 0.11f});
  CHECK(best.epsilon.weight == 0.11f);
  CHECK(best.epsilon.norm == 0.018f);
  CHECK(best.loss_increase == doctest::Approx(error_of(best.epsilon).loss_increase));
}

TEST_CASE("nothing that moves leaves nothing to apportion") {
  auto loss = increases;
  CHECK(for_least_error({.epsilon = {}}, loss, rademacher()).epsilon == per_group<float>{});
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/optimizers/parabolic.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zo/bowl.hpp>
#include <zo/problems.hpp>
#include <zoqat/zo/estimator.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

measurement measured(std::vector<float> slope, float agreed_power, float power, std::uint32_t step = 0) {
  return {.seed = 1,
          .step = step,
          .epsilon = {},
          .half_difference = std::move(slope),
          .loss = 1,
          .signal_power = agreed_power,
          .total_power = power};
}

balanced_scales two_scales() {
  return {.epsilon = {.weight = 0.5f, .norm = 0.25f}, .loss_increase = 0.25, .loss = 10};
}

}  // namespace

// --- The gauge -----------------------------------------------------------------------------------------------------

TEST_CASE("a gauge that has seen nothing makes no claim") {
  const signal_to_noise_tracker gauge;
  CHECK(gauge.rms() == 0);
  CHECK(gauge.fraction() > 0);
  CHECK(gauge.fraction() <= 1);
}

TEST_CASE("the root mean square is that of all slopes at first, and of the last hundred or so later") {
  signal_to_noise_tracker gauge;
  gauge.observe(0, 4);
  CHECK(gauge.rms() == doctest::Approx(2));
  gauge.observe(0, 8);
  CHECK(gauge.rms() == doctest::Approx(std::sqrt(6)));
  gauge.observe(0, 0);
  CHECK(gauge.rms() == doctest::Approx(2));
  for (int i = 0; i != 1000; ++i) gauge.observe(0, 9);
  CHECK(gauge.rms() == doctest::Approx(3).epsilon(1e-3));
  for (int i = 0; i != 100; ++i) gauge.observe(0, 0);  // forgets by a factor of 1 / e
  CHECK(gauge.rms() == doctest::Approx(3 * std::exp(-0.5)).epsilon(0.02));
}

TEST_CASE("the fraction follows what the micro-batches agree on, within bounds") {
  signal_to_noise_tracker signal, half, noise, opposed;
  for (int i = 0; i != 500; ++i) {
    signal.observe(2, 2);
    half.observe(1, 2);
    noise.observe(i % 2 == 0 ? 2.0f : -2.0f, 2);
    opposed.observe(-2, 2);
    REQUIRE(signal.fraction() <= 1);
    REQUIRE(opposed.fraction() >= 0);
  }
  CHECK(signal.fraction() == doctest::Approx(1));
  CHECK(half.fraction() == doctest::Approx(0.5));
  CHECK(noise.fraction() < 0.2);
  CHECK(opposed.fraction() < 0.2);
}

// --- Steps ---------------------------------------------------------------------------------------------------------

TEST_CASE("a gain is the way to the bottom of the parabola, times trust, schedule and signal, times epsilon") {
  parabolic<linear_decay> optimizer{
      .scales = two_scales(), .step_fraction = 0.5, .max_step_ratio = 1e9, .schedule = {.steps = 8}};
  for (int i = 0; i != 50; ++i) optimizer.tracker.observe(3, 4);
  signal_to_noise_tracker gauge = optimizer.tracker;
  gauge.observe(4, 4);
  const planned_update u = optimizer.plan(measured({2, -1}, 4, 4, 2));
  const double factor = 0.5 * (1 - 2.0 / 8) * gauge.fraction() / (2 * 0.25);
  CHECK(u.gain.weight == doctest::Approx(factor * 0.5).epsilon(1e-6));
  CHECK(u.gain.norm == doctest::Approx(factor * 0.25).epsilon(1e-6));
  CHECK(u.gain.smoothing == 0);
  CHECK(u.half_difference == std::vector<float>{2, -1});
  CHECK(u.seed == 1);
  CHECK(u.step == 2);
  CHECK(optimizer.tracker.rms() == gauge.rms());
}

TEST_CASE("slopes are bounded by what is usual, and steps by their reach") {
  parabolic<constant> optimizer{.scales = two_scales(), .clip_rms = 3, .max_step_ratio = 1e9};
  for (int i = 0; i != 500; ++i) optimizer.tracker.observe(1, 1);
  parabolic<constant> short_of = optimizer;
  const planned_update u = optimizer.plan(measured({1, 50, -50}, 1, 1));
  CHECK(u.half_difference[0] == 1);
  CHECK(u.half_difference[1] == doctest::Approx(3).epsilon(1e-3));
  CHECK(u.half_difference[2] == -u.half_difference[1]);

  short_of.max_step_ratio = 0.125;
  const planned_update near = short_of.plan(measured({1, 50, -50}, 1, 1));
  for (const float slope : near.half_difference)  // gain · slope against ε
    CHECK(std::abs(near.gain.weight * slope) <= 0.125f * 0.5f * 1.0001f);
  CHECK(std::abs(near.gain.weight * near.half_difference[1]) == doctest::Approx(0.125 * 0.5).epsilon(1e-4));
}

TEST_CASE("a rejected estimate leads to an empty update and leaves no mark on the gauge") {
  parabolic<constant> optimizer{.scales = two_scales()};
  (void)optimizer.plan(measured({1}, 1, 1));
  const double before = optimizer.tracker.rms();
  const planned_update u = optimizer.plan(measured({}, 0, 0));
  CHECK(u.half_difference.empty());
  optimizer.replay(u);
  CHECK(optimizer.tracker.rms() == before);
}

TEST_CASE("the replay of updates brings the gauge to where the plans left it") {
  parabolic<constant> planning{.scales = two_scales()}, replaying{.scales = two_scales()};
  rng::engine draw({.seed = 60, .use = rng::purpose::data});
  for (std::uint32_t step = 0; step != 150; ++step) {
    const float power = draw.uniform();
    replaying.replay(planning.plan(measured({draw.uniform()}, power * draw.uniform(), power, step)));
    REQUIRE(replaying.tracker.rms() == planning.tracker.rms());
    REQUIRE(replaying.tracker.fraction() == planning.tracker.fraction());
  }
}

TEST_CASE("without scales there is no step") {
  parabolic<constant> optimizer;
  check_mentions(message_of<value_error>([&] { (void)optimizer.plan(measured({1}, 1, 1)); }), "parabolic", "balance");
}

TEST_CASE("scales that were measured along other directions than the estimate are refused") {
  tensors store = three_groups();
  bowl f = three_curvatures();
  auto loss = objective_of(store, gaussian(), f);
  parabolic<> optimizer{.scales = balance(store, loss, gaussian())};
  const estimator<central, gaussian> same{.epsilon = optimizer.scales.epsilon};
  CHECK_NOTHROW((void)plan(optimizer, same(0, loss)));
  auto of_signs = objective_of(store, rademacher(), f);
  const estimator<central, rademacher> other{.epsilon = optimizer.scales.epsilon};
  check_mentions(message_of<value_error>([&] { (void)plan(optimizer, other(0, of_signs)); }), "gaussian",
                 "rademacher");
}

TEST_CASE_TEMPLATE("it goes to the bottom of a bowl whose groups differ a thousandfold, with no rate set by hand",
                   Distribution, gaussian, rademacher) {
  tensors store = three_groups();
  bowl f = three_curvatures();
  f.base = 0.01;
  f.t = {1, -1, 0.5, 2, 0, 1, 0.1, 1, -1};
  auto loss = objective_of(store, Distribution(), f);
  const double at_start = f(store.values(), 0);
  const auto scales = balance(store, loss, Distribution(), patient());
  const estimator<central, Distribution> e{.epsilon = scales.epsilon, .directions = 2, .seed = 9};
  parabolic<linear_decay> optimizer{.scales = scales, .schedule = {.steps = 1500}};
  for (std::uint32_t step = 0; step != 1500; ++step) apply(plan(optimizer, e(step, loss)), store);
  CHECK(at_start > 3);
  CHECK(f(store.values(), 0) < 0.01 + 1e-3 * at_start);
}

TEST_CASE("before twenty steps the signal is never taken for more than three tenths of the power") {
  zo::signal_to_noise_tracker tracker;
  for (int step = 1; step != 20; ++step) {
    tracker.observe(1, 1);
    CHECK(tracker.fraction() == 0.3);
  }
  tracker.observe(1, 1);
  CHECK(tracker.fraction() == 1);
}

TEST_CASE("a measured increase of the loss shortens steps, and one below the aim does not lengthen them") {
  measurement m;
  m.half_difference = {1};
  m.signal_power = m.total_power = 1;
  const auto gain = [&](double increase) {
    parabolic<linear_decay> optimizer{.scales = {}, .schedule = linear_decay{10}};
    optimizer.scales.epsilon = per_group<float>::all(1e-3f);
    optimizer.scales.aimed_increase = 1;
    optimizer.scales.loss_increase = increase;
    return optimizer.plan(m).gain.weight;
  };
  CHECK(gain(1) > 0);
  CHECK(gain(0.5) == gain(1));
  CHECK(gain(-3) == gain(1));
  CHECK(gain(2) == doctest::Approx(gain(1) / 2));
}

TEST_CASE("a replayed update brings back both powers") {
  parabolic<linear_decay> optimizer;
  for (int step = 0; step != 30; ++step) {
    planned_update u;
    u.half_difference = {1};
    u.signal_power = 1;
    u.total_power = 2;
    optimizer.replay(u);
  }
  CHECK(optimizer.tracker.fraction() == doctest::Approx(0.5));
}

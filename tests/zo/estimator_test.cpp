// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/estimator.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <zo/policies.hpp>
#include <zoqat/zo/differences/forward.hpp>
#include <zoqat/zo/differences/one_point.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

// --- What is evaluated ---------------------------------------------------------------------------------------------

TEST_CASE("the lanes are antithetic pairs along the directions of the step, on each micro-batch") {
  estimator<> e{.epsilon = {.weight = 0.5f, .norm = 0.25f}, .directions = 3, .micro_batches = 2, .seed = 77};
  std::vector<std::size_t> micro_batches;
  const auto result = e(9, [&](const auto& lanes, std::size_t m, std::span<double> losses) {
    micro_batches.push_back(m);
    REQUIRE(lanes.size() == 6);
    REQUIRE(losses.size() == 6);
    for (std::uint32_t i = 0; i != 6; ++i) {
      CHECK(lanes[i].along == direction{77, 9, i / 2});
      const float sign = i % 2 == 0 ? 1.0f : -1.0f;
      CHECK(lanes[i].scale.weight == sign * 0.5f);
      CHECK(lanes[i].scale.norm == sign * 0.25f);
      CHECK(lanes[i].scale.clipping == 0);
      losses[i] = i + 10.0 * static_cast<double>(m);
    }
  });
  CHECK(micro_batches == std::vector<std::size_t>{0, 1});
  CHECK(result.seed == 77);
  CHECK(result.step == 9);
  CHECK(result.epsilon == e.epsilon);
  CHECK(result.loss == 7.5);  // the mean of 0 to 5 and 10 to 15
  CHECK(result.half_difference == std::vector<float>{-0.5f, -0.5f, -0.5f});
  CHECK(result.along(2) == direction{77, 9, 2});
  CHECK(!result.rejected());
}

TEST_CASE("an evaluation leaves the masters as they are, bit for bit") {
  tensors store = assorted();
  store.add(parameter_group::weight, fragile());
  const auto before = bits_of(store.values());
  const estimator<> e{.directions = 2};
  (void)e(0, objective_of(store, gaussian(), [](std::span<const float> x, std::size_t) { return double{x[0]}; }));
  CHECK(bits_of(store.values()) == before);
}

TEST_CASE("an epsilon that moves nothing, or is no number, is an error that names the group") {
  for (const float bad : {-1e-3f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const estimator<central, rademacher> e{.epsilon = {.norm = bad}};
    check_mentions(message_of<value_error>([&] { (void)e.ask(0); }), "epsilon of norm");
  }
  const estimator<central, rademacher> still{.epsilon = per_group<float>::all(0)};
  check_mentions(message_of<value_error>([&] { (void)still.ask(0); }), "nothing moves");
}

TEST_CASE("losses whose differences are beyond all floats reject the step") {
  const estimator<central, rademacher> e{};
  auto losses = e.ask(0).losses();
  losses.set(0, std::vector<double>{1e25, 1.0});
  CHECK(e.tell(0, losses).rejected());
}

TEST_CASE("settings that evaluate nothing are errors") {
  const auto never = [](const auto&, std::size_t, std::span<double>) {};
  const auto message = zoqat::testing::message_of<value_error>([&] { (void)estimator<>{.directions = 0}(0, never); });
  zoqat::testing::check_mentions(message, "0 directions", "1 micro-batch;");
  CHECK_THROWS_AS((void)estimator<>{.micro_batches = 0}(0, never), value_error);
}

// --- What comes of it ----------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("on a linear function the projected gradient is the product with the direction", Distribution,
                   gaussian, rademacher) {
  constexpr std::size_t n = 40;
  tensors store;
  store.add(parameter_group::weight, std::vector<float>(n, 0.0f), {0.5f, 2.0f, 0.25f, 8.0f});
  const linear f{numbers(n, 1)};
  const estimator<central, Distribution> e{.epsilon = {.weight = fine}, .directions = 4, .seed = 5};
  for (std::uint32_t step = 0; step != 20; ++step) {
    const auto result = e(step, objective_of(store, Distribution(), f));
    REQUIRE(result.half_difference.size() == 4);
    for (std::size_t i = 0; i != 4; ++i) {
      const auto u = elements_of(store, Distribution(), result.along(i));
      double magnitude = 0;
      for (std::size_t j = 0; j != n; ++j) magnitude += std::abs(f.g[j] * u[j]);
      CHECK(std::abs(double{result.projected_gradient(i)} - dot(f.g, u)) <= 1e-6 * magnitude);
    }
  }
}

TEST_CASE("each group moves by its own epsilon") {
  tensors store;
  store.add(parameter_group::weight, std::vector<float>(7, 0.0f));
  store.add(parameter_group::smoothing, std::vector<float>(3, 0.0f));
  store.add(parameter_group::norm, std::vector<float>(5, 0.0f));
  const linear f{numbers(15, 2)};
  const estimator<> e{.epsilon = {.weight = fine, .smoothing = 4 * fine}};
  const auto result = e(3, objective_of(store, gaussian(), f));
  const auto u = elements_of(store, gaussian(), result.along(0));
  const std::span g(f.g), all(u);
  const double expected = dot(g.first(7), all.first(7)) + 4 * dot(g.subspan(7, 3), all.subspan(7, 3));
  CHECK(double{result.half_difference[0]} == doctest::Approx(double{fine} * expected).epsilon(1e-5));
  CHECK(result.projected_gradient(0, parameter_group::smoothing) == result.half_difference[0] / (4 * fine));
  CHECK(result.projected_gradient(0) == result.half_difference[0] / fine);
}

TEST_CASE("the spread is the standard deviation of the losses of lanes that move, averaged over the micro-batches") {
  const auto losses_of = [](const auto&, std::size_t m, std::span<double> losses) {
    for (std::size_t i = 0; i != losses.size(); ++i) losses[i] = static_cast<double>(i) * (m == 0 ? 1.0 : 3.0);
  };
  // Means over the micro-batches: 0, 2, 4, 6.
  CHECK(estimator<>{.directions = 2, .micro_batches = 2}(0, losses_of).loss_stddev ==
        doctest::Approx(2 * std::sqrt(5.0 / 3.0)));
  CHECK(estimator<forward>{.directions = 3, .micro_batches = 2}(0, losses_of).loss_stddev == 2);  // without the first
  CHECK(estimator<one_point>{}(0, losses_of).loss_stddev == 0);
}

TEST_CASE("more directions are the directions one by one") {
  tensors store = assorted();
  const linear f{numbers(store.values().size(), 3)};
  const auto loss = objective_of(store, gaussian(), f);
  const auto four = estimator<>{.directions = 4, .seed = 1}(2, loss),
             two = estimator<>{.directions = 2, .seed = 1}(2, loss);
  CHECK(std::vector(four.half_difference.begin(), four.half_difference.begin() + 2) == two.half_difference);
  CHECK(four.half_difference[2] != four.half_difference[1]);
}

TEST_CASE("the same step gives the same estimate, another step or seed another one") {
  tensors store = assorted();
  const linear f{numbers(store.values().size(), 3)};
  const auto loss = objective_of(store, gaussian(), f);
  const estimator<> e{.seed = 1}, other{.seed = 2};
  CHECK(e(2, loss).half_difference == e(2, loss).half_difference);
  CHECK(e(2, loss).half_difference != e(3, loss).half_difference);
  CHECK(e(2, loss).half_difference != other(2, loss).half_difference);
}

TEST_CASE("elements chosen at run time are those of the type") {
  tensors store = assorted();
  const linear f{numbers(store.values().size(), 3)};
  const estimator<central, runtime_distribution> e{.distribution = {.is_gaussian = false}};
  const estimator<central, rademacher> r;
  CHECK(e(0, objective_of(store, e.distribution, f)).half_difference ==
        r(0, objective_of(store, rademacher(), f)).half_difference);
}

// --- Statistics, along fixed directions: nothing here is left to chance --------------------------------------------

TEST_CASE_TEMPLATE("on a quadratic the estimate is unbiased" * doctest::skip(zoqat::testing::is_slow_build),
                   Distribution, gaussian, gaussian_ars, rademacher) {
  constexpr std::size_t n = 12;
  constexpr std::uint32_t steps = 4000;
  constexpr double standard_errors = 5;
  tensors store;
  store.add(parameter_group::weight, floats(n, 10));
  const quadratic f{numbers(n, 11), numbers(n, 12), numbers(n, 13)};
  const auto g = f.gradient(store[0]);
  // A wide ε: central differences owe nothing to its being small.
  const estimator<central, Distribution> e{.epsilon = {.weight = 0.25f}, .seed = 6};
  std::vector<double> mean(n);
  for (std::uint32_t step = 0; step != steps; ++step) {
    const auto estimated = gradient_of(e(step, objective_of(store, Distribution(), f)), store, Distribution());
    for (std::size_t j = 0; j != n; ++j) mean[j] += estimated[j] / steps;
  }
  // Var ĝ_j = ‖g‖² + g_j² for Gaussian directions, ‖g‖² − g_j² for Rademacher ones.
  const double sign = std::is_same_v<Distribution, rademacher> ? -1 : 1;
  double clearest = 0;
  for (std::size_t j = 0; j != n; ++j) {
    const double error = std::sqrt((dot(g, g) + sign * g[j] * g[j]) / steps);
    CAPTURE(j);
    CHECK(std::abs(mean[j] - g[j]) <= standard_errors * error);
    clearest = std::max(clearest, std::abs(g[j]) / error);
  }
  CHECK(clearest > 4 * standard_errors);  // a quarter off would show
}

TEST_CASE_TEMPLATE(
    "the mean square error on a linear loss is (d + 1) ‖g‖² for Gaussian directions, (d − 1) ‖g‖² for "
    "Rademacher ones, and goes with 1 / q",
    Distribution, gaussian, gaussian_ars, rademacher) {
  constexpr std::size_t d = 8;
  constexpr double standard_errors = 4;
  tensors store = at_origin(d);
  const linear f{numbers(d, 20)};
  const double sign = std::is_same_v<Distribution, rademacher> ? -1 : 1;
  for (const std::uint32_t q : {1u, 4u}) {
    const estimator<central, Distribution> e{.epsilon = {.weight = fine}, .directions = q, .seed = 8};
    sample errors;
    for (std::uint32_t step = 0; step != 8000; ++step) {
      auto difference = gradient_of(e(step, objective_of(store, Distribution(), f)), store, Distribution());
      for (std::size_t j = 0; j != d; ++j) difference[j] -= f.g[j];
      errors.add(dot(difference, difference));
    }
    const double expected = (d + sign) * dot(f.g, f.g) / q;
    CAPTURE(q);
    CHECK(std::abs(errors.mean() - expected) <= standard_errors * errors.standard_error());
    CHECK(standard_errors * errors.standard_error() < 0.1 * expected);  // tells d + 1 from d and from d − 1
  }
}

// --- Micro-batches, bounds, rejection ------------------------------------------------------------------------------

TEST_CASE("micro-batches are averaged, and what they agree on is measured") {
  tensors store = assorted();
  const linear one{numbers(store.values().size(), 3)};
  linear three = one;
  three.factors = {1, 2, -1};
  const estimator<> single{.directions = 2}, triple{.directions = 2, .micro_batches = 3};
  const auto a = single(4, objective_of(store, gaussian(), one)),
             b = triple(4, objective_of(store, gaussian(), three));
  const double s0 = double{a.half_difference[0]} * a.half_difference[0],
               s1 = double{a.half_difference[1]} * a.half_difference[1];
  CHECK(a.signal_power == doctest::Approx((s0 + s1) / 2).epsilon(1e-5));
  CHECK(a.total_power == a.signal_power);
  for (std::size_t i = 0; i != 2; ++i)
    CHECK(b.half_difference[i] == doctest::Approx(a.half_difference[i] * 2 / 3).epsilon(1e-5));
  CHECK(b.loss == doctest::Approx(a.loss * 2 / 3).epsilon(1e-6));
  // Slopes s, 2s, −s: the mean is 2s/3, the products of the pairs are 2, −1 and −2 times s².
  CHECK(b.total_power == doctest::Approx((s0 + s1) / 2 * 4 / 9).epsilon(1e-5));
  CHECK(b.signal_power == doctest::Approx((s0 + s1) / 2 * (2 - 1 - 2) / 3).epsilon(1e-5));
}

TEST_CASE("a bound on the slope bounds both sides, and the slope alone") {
  const auto slopes_of_3 = [](const auto&, std::size_t, std::span<double> losses) {
    for (std::size_t i = 0; i != losses.size(); ++i) losses[i] = i % 4 == 0 ? 6 : i % 4 == 2 ? -6 : 0;
  };
  const auto slopes = [&](float clip) { return estimator<>{.directions = 2, .clip = clip}(0, slopes_of_3); };
  CHECK(slopes(0).half_difference == std::vector<float>{3, -3});
  CHECK(slopes(5).half_difference == std::vector<float>{3, -3});
  CHECK(slopes(0.5f).half_difference == std::vector<float>{0.5f, -0.5f});
  CHECK(slopes(0.5f).total_power == 9);
  CHECK(slopes(0.5f).signal_power == 9);
}

TEST_CASE("a loss that is no finite number, in any lane of any micro-batch, is no estimate and no step") {
  constexpr double infinite = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {nan, infinite, -infinite, 1e300, -1e300})
    for (std::size_t lane = 0; lane != 4; ++lane)
      for (std::size_t micro_batch = 0; micro_batch != 2; ++micro_batch) {
        const estimator<> e{.directions = 2, .micro_batches = 2, .clip = 1, .seed = 3};
        const auto result = e(6, [&](const auto&, std::size_t m, std::span<double> losses) {
          for (std::size_t i = 0; i != losses.size(); ++i) losses[i] = m == micro_batch && i == lane ? bad : 1.0;
        });
        REQUIRE(result.rejected());
        REQUIRE(std::isnan(result.loss));
        REQUIRE(result.step == 6);
        tensors store = assorted();
        sgd<> optimizer{per_group<float>::all(1)};
        apply(plan(optimizer, result), store);
        REQUIRE(bits_of(store.values()) == bits_of(assorted().values()));
      }
}

TEST_CASE("losses of another step's shape, and a loss that is missing, are refused") {
  const estimator<> e{.directions = 2};
  check_mentions(message_of<value_error>([&] { (void)e.tell(3, loss_table(3, 1)); }), "3 lanes on 1", "step 3",
                 "4 lanes on 1");
  auto table = e.ask(3).losses();
  table.set(0, 0, 1.0);
  check_mentions(message_of<value_error>([&] { (void)e.tell(3, table); }), "step 3", "missing");
}

// --- Losses that do not come
// -----------------------------------------------------------------------------------------

namespace {

/// Losses of a step, but for those of some lanes on some micro-batches.
template <class Estimator, class Missing>
loss_table losses_without(const Estimator& e, Missing&& missing) {
  loss_table losses = e.ask(0).losses();
  for (std::size_t m = 0; m != losses.micro_batches(); ++m)
    for (std::size_t lane = 0; lane != losses.lanes(); ++lane)
      if (!missing(lane, m)) losses.set(lane, m, std::sqrt(2.0 + static_cast<double>(7 * lane + 3 * m * m)));
  return losses;
}

}  // namespace

TEST_CASE("a step goes on with the mean over the directions and micro-batches whose losses are there") {
  const estimator<central, rademacher> e{.directions = 3, .micro_batches = 2};
  const loss_table whole = losses_without(e, [](auto, auto) { return false; });
  const auto slope = [&](std::size_t i, std::size_t m) { return (whole(2 * i, m) - whole(2 * i + 1, m)) / 2; };
  // A lane of direction 0 on micro-batch 1, and all of direction 2.
  const auto part = losses_without(e, [](auto lane, auto m) { return (lane == 1 && m == 1) || lane >= 4; });
  CHECK_THROWS_AS((void)e.tell(0, part), value_error);
  const auto result = e.tell_arrived(0, part);
  CHECK(result.absent == std::vector<std::uint32_t>{1, 4, 5});
  REQUIRE(result.half_difference.size() == 3);
  CHECK(result.half_difference[0] == doctest::Approx(1.5 * slope(0, 0)));
  CHECK(result.half_difference[1] == doctest::Approx(1.5 * (slope(1, 0) + slope(1, 1)) / 2));
  CHECK(result.half_difference[2] == 0);
  CHECK(result.signal_power == doctest::Approx((slope(0, 0) * slope(0, 0) + slope(1, 0) * slope(1, 1)) / 2));
  CHECK(result.loss ==
        doctest::Approx((whole(0, 0) + whole(1, 0) + whole(2, 0) + whole(3, 0) + whole(2, 1) + whole(3, 1)) / 6));
}

TEST_CASE("with all losses there it is the estimate that they lead to anyway") {
  const estimator<central, rademacher> e{.directions = 3, .micro_batches = 2};
  const loss_table whole = losses_without(e, [](auto, auto) { return false; });
  const auto told = e.tell(0, whole), arrived = e.tell_arrived(0, whole);
  CHECK(told.half_difference == arrived.half_difference);
  CHECK(told.loss == arrived.loss);
  CHECK(arrived.absent.empty());
}

TEST_CASE("a step of which nothing arrived is rejected") {
  const estimator<central, rademacher> e{.directions = 2};
  const auto result = e.tell_arrived(0, losses_without(e, [](auto lane, auto) { return lane % 2 == 0; }));
  CHECK(result.rejected());
  CHECK(result.absent == std::vector<std::uint32_t>{0, 1});
}

TEST_CASE("where directions share lanes, a micro-batch counts only as a whole") {
  const estimator<forward, rademacher> e{.directions = 2, .micro_batches = 2};
  const auto result = e.tell_arrived(0, losses_without(e, [](auto lane, auto m) { return lane == 2 && m == 0; }));
  CHECK(result.absent == std::vector<std::uint32_t>{0, 2});
  const loss_table whole = losses_without(e, [](auto, auto) { return false; });
  CHECK(result.half_difference[0] == static_cast<float>(whole(1, 1) - whole(0, 1)));
}

TEST_CASE("a bound in medians holds single losses, and leaves steps without such as they are") {
  const auto told = [](float bound, double worst) {
    const estimator<central, rademacher> e{.directions = 5, .median_bound = bound};
    loss_table losses = e.ask(0).losses();
    for (std::size_t i = 0; i != 5; ++i) {
      losses.set(2 * i, 0, 10.0);
      losses.set(2 * i + 1, 0, i == 2 ? 10 - 2 * worst : 10.0 - 0.1 * static_cast<double>(i + 1));
    }
    return e.tell_arrived(0, losses);
  };
  CHECK(told(3, 0.1).half_difference == told(0, 0.1).half_difference);
  const auto bounded = told(3, 1e6);
  CHECK(bounded.half_difference[2] == doctest::Approx(3 * 0.2));  // the median of 0.05, 0.1, 1e6, 0.2, 0.25
  CHECK(bounded.half_difference[1] == told(0, 1e6).half_difference[1]);
  CHECK(bounded.loss == doctest::Approx(9.85));
  CHECK(told(3, std::numeric_limits<double>::infinity()).absent == std::vector<std::uint32_t>{2});
  CHECK(told(0, std::numeric_limits<double>::infinity()).rejected());
  const estimator<central, rademacher> few{.directions = 2, .median_bound = 3};
  check_mentions(message_of<value_error>([&] { (void)few.ask(0); }), "median_bound is 3", "at least three");
  for (const float bound : {0.5f, -1.0f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const estimator<central, rademacher> senseless{.directions = 4, .median_bound = bound};
    check_mentions(message_of<value_error>([&] { (void)senseless.ask(0); }), "median_bound is", "at least 1");
  }
  const estimator<forward, rademacher> shared{.directions = 4, .median_bound = 3};
  CHECK_THROWS_AS((void)shared.ask(0), value_error);
}

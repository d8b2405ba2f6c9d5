// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/optimizers/sgd.hpp>

#include <doctest/doctest.h>
#include <zo/problems.hpp>
#include <zoqat/zo/estimator.hpp>

#include <span>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

measurement some_estimate() {
  return {.seed = 7,
          .step = 25,
          .epsilon = {.weight = 0.5f, .smoothing = 0.25f, .norm = 0},
          .half_difference = {1, -2},
          .loss = 3,
          .signal_power = 4,
          .total_power = 5};
}

}  // namespace

TEST_CASE("a gain is learning rate times schedule over epsilon; what did not move has none") {
  const sgd<linear_decay> optimizer{{.weight = 0.1f, .smoothing = 0.3f, .norm = 9}, {.steps = 100}};
  const planned_update u = optimizer.plan(some_estimate());
  CHECK(u.gain.weight == 0.1f * 0.75f / 0.5f);
  CHECK(u.gain.smoothing == 0.3f * 0.75f / 0.25f);
  CHECK(u.gain.norm == 0);
  CHECK(u.gain.clipping == 0);
  CHECK(u.seed == 7);
  CHECK(u.step == 25);
  CHECK(u.half_difference == std::vector<float>{1, -2});
  CHECK(u.signal_power == 4);
  CHECK(u.total_power == 5);
}

TEST_CASE("what is frozen or over has no gain") {
  const sgd<linear_decay> over{{.weight = 0.1f, .smoothing = 0.3f}, {.steps = 25}};
  CHECK(over.plan(some_estimate()).gain == per_group<float>{});
  const sgd<> frozen{{.smoothing = 1}};
  CHECK(frozen.plan(some_estimate()).gain.weight == 0);
  CHECK(frozen.plan(some_estimate()).gain.smoothing == 4);
}

TEST_CASE("a rejected estimate leads to an empty update") {
  measurement rejected = some_estimate();
  rejected.half_difference.clear();
  CHECK(sgd<>{{.weight = 1}}.plan(rejected).half_difference.empty());
}

TEST_CASE("an update goes along what its estimate was measured along; a replay brings nothing back") {
  const sgd<> optimizer{per_group<float>::all(1e-3f)};
  const estimate<rademacher> along_signs{some_estimate()};
  tensors stepped = assorted(), planned = assorted();
  apply(plan(optimizer, along_signs), stepped);
  optimizer.replay(optimizer.plan(some_estimate()));
  apply(update{optimizer.plan(some_estimate()), rademacher()}, planned);
  CHECK(bits_of(stepped.values()) == bits_of(planned.values()));
  CHECK(bits_of(stepped.values()) != bits_of(assorted().values()));
}

TEST_CASE("the schedule is deduced") {
  const per_group<float> rates{.weight = 5e-7f, .smoothing = 5e-6f};
  static_assert(std::is_same_v<decltype(sgd{rates}), sgd<constant>>);
  static_assert(std::is_same_v<decltype(sgd{rates, cosine_decay{}}), sgd<cosine_decay>>);
  CHECK(sgd{rates, linear_decay{10'000}}.schedule.steps == 10'000);
}

TEST_CASE("gradient descent without gradients goes down") {
  tensors store;
  store.add(parameter_group::weight, {3, -2, 1, 4});
  const auto loss = [](std::span<const float> x, std::size_t) {
    double total = 0;
    for (const float v : x) total += double{v} * v / 2;
    return total;
  };
  const estimator<> e{.epsilon = {.weight = 0.01f}};
  const sgd<linear_decay> optimizer{{.weight = 0.1f}, {.steps = 400}};
  for (std::uint32_t step = 0; step != 400; ++step)
    apply(plan(optimizer, e(step, objective_of(store, gaussian(), loss))), store);
  CHECK(loss(store[0], 0) < 1e-3 * 15);
}

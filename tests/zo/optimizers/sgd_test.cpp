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

estimate some_estimate() {
  return {.seed = 7,
          .step = 25,
          .epsilon = {.weight = 0.5f, .smoothing = 0.25f, .norm = 0},
          .slope = {1, -2},
          .loss = 3,
          .agreed_power = 4,
          .power = 5};
}

}  // namespace

TEST_CASE("a gain is learning rate times schedule over epsilon; what did not move has none") {
  const sgd<linear_decay> optimizer{{.weight = 0.1f, .smoothing = 0.3f, .norm = 9}, {.steps = 100}};
  const update u = optimizer.plan(some_estimate());
  CHECK(u.gain.weight == 0.1f * 0.75f / 0.5f);
  CHECK(u.gain.smoothing == 0.3f * 0.75f / 0.25f);
  CHECK(u.gain.norm == 0);
  CHECK(u.gain.clipping == 0);
  CHECK(u.seed == 7);
  CHECK(u.step == 25);
  CHECK(u.slope == std::vector<float>{1, -2});
  CHECK(u.agreed_power == 4);
  CHECK(u.power == 5);
}

TEST_CASE("what is frozen or over has no gain") {
  const sgd<linear_decay> over{{.weight = 0.1f, .smoothing = 0.3f}, {.steps = 25}};
  CHECK(over.plan(some_estimate()).gain == per_group<float>{});
  const sgd<> frozen{{.smoothing = 1}};
  CHECK(frozen.plan(some_estimate()).gain.weight == 0);
  CHECK(frozen.plan(some_estimate()).gain.smoothing == 4);
}

TEST_CASE("a rejected estimate leads to an empty update") {
  estimate rejected = some_estimate();
  rejected.slope.clear();
  CHECK(sgd<>{{.weight = 1}}.plan(rejected).slope.empty());
}

TEST_CASE("a step is the plan, applied; a replay brings nothing back") {
  const sgd<> optimizer{per_group<float>::all(1e-3f)};
  tensors stepped = assorted(), planned = assorted();
  optimizer.step(stepped, some_estimate(), rademacher());
  optimizer.replay(optimizer.plan(some_estimate()));
  apply(rademacher(), optimizer.plan(some_estimate()), planned);
  CHECK(bits_of(stepped.values()) == bits_of(planned.values()));
  CHECK(bits_of(stepped.values()) != bits_of(assorted().values()));
  tensors by_default = assorted(), by_name = assorted();
  optimizer.step(by_default, some_estimate());
  optimizer.step(by_name, some_estimate(), gaussian());
  CHECK(by_default.values() == by_name.values());
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
    optimizer.step(store, e(step, objective_of(store, gaussian(), loss)));
  CHECK(loss(store[0], 0) < 1e-3 * 15);
}

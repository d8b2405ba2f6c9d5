// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/step.hpp>

#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <doctest/doctest.h>
#include <support/failing_new.hpp>
#include <zo/policies.hpp>
#include <zo/problems.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

// train::run is `step` in a loop, whichever way it moves the masters.

namespace {

/// Σ x² / 2 read through lanes, tensor by tensor; swept tensors by rows, so that a pending update is made on the way.
template <bool Defers>
struct sum_of_squares {
  swept_tensors& store;
  deferred_update<> pending{};
  sequential threads{};

  template <distribution Distribution>
  void operator()(const lane_points<Distribution>& at, std::size_t micro_batch, std::span<double> losses) {
    const lanes<Distribution, simd::default_kernels, deferred_update<>> all(at, &pending);
    std::ranges::fill(losses, 1.0);
    sweep_scratch scratch;
    store.for_each_parameter([&](const parameter& p) {
      if (p.row_size != 0) all.sweep_rows(p, 0, p.size() / p.row_size, scratch, [](auto...) {});
      std::vector<float> values(at.size() * p.size());
      all.read(p, 0, p.size(), values.data());
      for (std::size_t lane = 0; lane != at.size(); ++lane)
        for (const float x : std::span(values).subspan(lane * p.size(), p.size()))
          losses[lane] += double{x} * double{x} / 2 * static_cast<double>(1 + micro_batch);
    });
  }
  void defer(const update<rademacher>& u, swept_tensors& parameters)
    requires Defers
  {
    pending.defer(u, parameters, threads);
  }
  void flush(swept_tensors& parameters)
    requires Defers
  {
    pending.flush(parameters, threads);
  }
};

constexpr std::uint32_t steps = 12;
const estimator<central, rademacher> pairs{
    .epsilon = per_group<float>::all(0.01f), .directions = 2, .micro_batches = 2, .seed = 5};

template <class Optimizer>
std::vector<std::uint32_t> by_steps(Optimizer optimizer) {
  swept_tensors store;
  sum_of_squares<false> loss{store};
  for (std::uint32_t t = 0; t != steps; ++t) (void)step(store, loss, pairs, optimizer, t);
  return bits_of(store.values());
}
template <bool Defers, class Optimizer>
std::vector<std::uint32_t> by_run(Optimizer optimizer, std::size_t thread_count) {
  swept_tensors store;
  sum_of_squares<Defers> loss{store};
  thread_pool threads(thread_count);
  train::run(store, loss, pairs, optimizer, {.steps = steps}, threads);
  return bits_of(store.values());
}

template <class Optimizer>
void check_equal(const Optimizer& optimizer) {
  const auto wanted = by_steps(optimizer);
  CHECK(wanted != bits_of(swept_tensors().values()));
  for (const std::size_t threads : {1u, 3u}) {
    CHECK(by_run<false>(optimizer, threads) == wanted);
    CHECK(by_run<true>(optimizer, threads) == wanted);
  }
}

}  // namespace

TEST_CASE("train::run makes the bits of step after step, with updates at once or in the next pass") {
  check_equal(sgd<linear_decay>{per_group<float>::all(1e-3f), {.steps = steps}});
  check_equal(parabolic<>{.scales = {.epsilon = pairs.epsilon, .loss_increase = 0.5}, .schedule = {.steps = steps}});
}

TEST_CASE("a step goes down along the directions of its estimator, whichever they are") {
  // Named once: 300 steps on the sum of squares of 64 ones end near the bottom, or the update went somewhere else.
  const auto trained = [](const auto& estimator) {
    std::vector<float> values(64, 1.0f);
    parameter_list parameters;
    parameters.add("w", values);
    auto loss = in_place(parameters, [&] {
      double total = 0;
      for (const float w : values) total += double{w} * double{w};
      return total;
    });
    sgd<> optimizer{{.weight = 5e-3f}};
    for (std::uint32_t t = 0; t != 300; ++t) (void)step(parameters, loss, estimator, optimizer, t);
    double total = 0;
    for (const float w : values) total += double{w} * double{w};
    return total;
  };
  constexpr per_group<float> epsilon = per_group<float>::all(1e-2f);
  CHECK(trained(estimator<central, rademacher>{.epsilon = epsilon}) < 4);
  CHECK(trained(estimator<central, gaussian>{.epsilon = epsilon}) < 4);
  CHECK(trained(estimator<central, runtime_distribution>{.epsilon = epsilon,
                                                         .distribution = {.is_gaussian = false}}) < 4);
}

TEST_CASE("losses that are told out of order and late are the estimate that a call makes") {
  std::vector<float> values(40, 1.0f);
  parameter_list parameters;
  parameters.add("w", values);
  auto loss = in_place(parameters, [&](std::size_t micro_batch) {
    double total = 0;
    for (const float w : values) total += double{w} * double{w} * static_cast<double>(2 + micro_batch);
    return total;
  });
  const auto asked = pairs.ask(7);
  REQUIRE(asked.size() == 4);
  REQUIRE(asked.micro_batches == 2);
  auto answers = asked.losses();
  for (const std::size_t micro : {1u, 0u})
    for (const std::size_t lane : {3u, 0u, 2u, 1u}) {
      double one = 0;
      loss(asked.lanes().part(lane, 1), micro, {&one, 1});
      answers.set(lane, micro, one);
    }
  (void)pairs(8, loss);  // another step in between
  const auto late = pairs.tell(7, answers), at_once = pairs(7, loss);
  CHECK(late.half_difference == at_once.half_difference);
  CHECK(late.loss == at_once.loss);
  CHECK(late.signal_power == at_once.signal_power);
  CHECK(late.loss_stddev == at_once.loss_stddev);
}

TEST_CASE("a step for which memory runs out changes neither the parameters nor what the optimizer remembers") {
  struct trial {
    swept_tensors store;
    sum_of_squares<false> loss{store};
    parabolic<> optimizer{.scales = {.epsilon = pairs.epsilon, .loss_increase = 0.5}, .schedule = {.steps = steps}};
    void make(std::uint32_t t) { (void)step(store, loss, pairs, optimizer, t); }
  };
  trial whole;
  whole.make(0);
  const auto before = bits_of(whole.store.values());
  const double remembered = whole.optimizer.tracker.rms();
  for (const std::uint32_t t : {1u, 2u}) whole.make(t);
  std::size_t moved = 0, other = 0;
  const std::size_t failures = zoqat::testing::fail_each_allocation(
      [] {
        auto at_step_1 = std::make_unique<trial>();
        at_step_1->make(0);
        return at_step_1;
      },
      [](auto& t) { t->make(1); },
      [&](auto& t) {
        moved += bits_of(t->store.values()) != before || t->optimizer.tracker.rms() != remembered;
        for (const std::uint32_t again : {1u, 2u}) t->make(again);
        other += bits_of(t->store.values()) != bits_of(whole.store.values());
      });
  CHECK(failures > 20);
  CHECK(moved == 0);
  CHECK(other == 0);
}

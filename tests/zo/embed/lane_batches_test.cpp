// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/embed/lane_batches.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/quadratic.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/differences/leave_one_out.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

/// Notes how many lanes come at a time; a loss is the number of its direction, and a deferred update is counted.
struct recorder {
  std::vector<std::size_t> sizes;
  std::vector<std::size_t> micro_batches_seen;
  int deferred = 0, flushed = 0;

  void operator()(const lane_points<rademacher>& lanes, std::size_t micro_batch, std::span<double> losses) {
    sizes.push_back(lanes.size());
    micro_batches_seen.push_back(micro_batch);
    for (std::size_t i = 0; i != lanes.size(); ++i) losses[i] = lanes[i].along.index;
  }
  [[nodiscard]] std::size_t micro_batches() const { return 3; }
  void defer(const update<rademacher>&, parameter_list&) { ++deferred; }
  void flush(parameter_list&) { ++flushed; }
};

template <class Loss>
concept is_told_of_steps = requires(Loss& loss) { loss.select(0u); };

std::vector<perturbation> lanes_of(std::uint32_t n) {
  std::vector<perturbation> lanes(n);
  for (std::uint32_t i = 0; i != n; ++i) lanes[i].along.index = i;
  return lanes;
}

}  // namespace

TEST_CASE("all lanes come, in their order, so many at a time and the rest at last") {
  for (const std::uint32_t n : {0u, 1u, 2u, 7u, 8u}) {
    recorder loss;
    lane_batches turns(loss, 3);
    const std::vector<perturbation> lanes = lanes_of(n);
    std::vector<double> losses(n);
    turns(lane_points<rademacher>{lanes, {}}, 2, losses);
    std::size_t total = 0;
    for (const std::size_t size : loss.sizes) {
      CHECK(size <= 3);
      total += size;
    }
    CHECK(total == n);
    CHECK(loss.sizes.size() == (n + 2) / 3);
    for (const std::size_t micro : loss.micro_batches_seen) CHECK(micro == 2);
    for (std::uint32_t i = 0; i != n; ++i) CHECK(losses[i] == i);
  }
}

TEST_CASE("what a trainer asks of an objective is asked of the one behind it") {
  recorder loss;
  lane_batches turns(loss);
  parameter_list parameters;
  CHECK(turns.micro_batches() == 3);
  turns.defer(update<rademacher>{}, parameters);
  turns.flush(parameters);
  CHECK(loss.deferred == 1);
  CHECK(loss.flushed == 1);
  static_assert(!is_told_of_steps<lane_batches<recorder>>);
  static_assert(is_told_of_steps<lane_batches<zoqat::testing::quadratic>>);
}

TEST_CASE("the trainer takes points that are compared with each other, two lanes at a time") {
  const estimator<leave_one_out, rademacher> e{.epsilon = per_group<float>::all(1e-2f), .directions = 4, .seed = 11};
  zoqat::testing::quadratic whole, parts;
  lane_batches turns(parts);
  train::run(whole.parameters, whole, e, whole.optimizer, {0, 200}, whole.threads);
  train::run(parts.parameters, turns, e, parts.optimizer, {0, 200}, parts.threads);
  CHECK(whole.values == parts.values);  // bit for bit
  CHECK(parts.selected.size() == 200);
  CHECK(parts.at_masters() < 1);  // from 10
}

TEST_CASE("no lane at a time is refused") {
  recorder loss;
  check_mentions(message_of<value_error>([&] { lane_batches<recorder>(loss, 0); }), "0 lanes in a batch");
}

// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/quadratic.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/parabolic.hpp>
#include <zoqat/zo/sgd.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

struct only_begin {
  std::vector<std::uint32_t>* seen;
  void begin(std::uint32_t first, std::uint32_t steps) { seen->insert(seen->end(), {first, steps}); }
};
struct only_steps {
  std::vector<std::uint32_t>* seen;
  void after_step(const train::step_report& report) { seen->push_back(report.step); }
};
struct only_end {
  int* ended;
  void end() { ++*ended; }
};
struct stop_after {
  std::uint32_t left;
  bool stop() { return --left == 0; }
};

}  // namespace

TEST_CASE("callbacks are found by the members they have") {
  quadratic q;
  std::vector<std::uint32_t> begun, made;
  int ended = 0;
  only_steps steps{&made};  // a name is as good as a temporary
  CHECK(train::run(q.parameters, q, q.estimator, q.optimizer, 2, 5, q.threads, only_begin{&begun}, steps,
                   only_end{&ended}) == 0);
  CHECK(begun == std::vector<std::uint32_t>{2, 5});
  CHECK(made == std::vector<std::uint32_t>{2, 3, 4});
  CHECK(ended == 1);
  CHECK(q.selected == made);

  made.clear();
  train::run(q.parameters, q, q.estimator, q.optimizer, 0, 10, q.threads, only_steps{&made}, stop_after{3},
             only_end{&ended});
  CHECK(made == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(ended == 2);

  made.clear();
  for (const std::uint32_t first : {5u, 6u})
    train::run(q.parameters, q, q.estimator, q.optimizer, first, 5, q.threads, only_steps{&made});
  CHECK(made.empty());
}

TEST_CASE("a report says what the step was") {
  quadratic q;
  struct check {
    quadratic* q;
    std::uint32_t seen = 0;
    void after_step(const train::step_report& report) {
      CHECK(report.step == seen++);
      CHECK(report.steps == 4);
      CHECK(report.rejected == 0);
      REQUIRE(report.estimate != nullptr);
      REQUIRE(report.update != nullptr);
      CHECK(report.estimate->step == report.step);
      CHECK(report.update->slope == report.estimate->slope);
      CHECK(std::isfinite(report.estimate->loss));
    }
  } callback{&q};
  train::run(q.parameters, q, q.estimator, q.optimizer, 0, 4, q.threads, callback);
  CHECK(callback.seen == 4);
}

TEST_CASE("training goes down") {
  quadratic q;
  const double before = q.at_masters();
  train::run(q.parameters, q, q.estimator, q.optimizer, 0, 300, q.threads);
  CHECK(q.at_masters() < 0.2 * before);
}

TEST_CASE("a loss that is not finite is rejected, counted and leaves the weights") {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    quadratic q;
    const auto start = q.values;
    q.bad_step = 0;
    q.bad_loss = bad;
    CHECK(train::run(q.parameters, q, q.estimator, q.optimizer, 0, 1, q.threads) == 1);
    CHECK(q.values == start);

    quadratic with, without;
    with.bad_step = 3;
    with.bad_loss = bad;
    std::vector<std::uint32_t> rejected;
    struct count {
      std::vector<std::uint32_t>* to;
      void after_step(const train::step_report& report) { to->push_back(report.rejected); }
    };
    CHECK(train::run(with.parameters, with, with.estimator, with.optimizer, 0, 5, with.threads, count{&rejected}) ==
          1);
    CHECK(rejected == std::vector<std::uint32_t>{0, 0, 0, 1, 1});
    train::run(without.parameters, without, without.estimator, without.optimizer, 0, 3, without.threads);
    train::run(without.parameters, without, without.estimator, without.optimizer, 4, 5, without.threads);
    CHECK(with.values == without.values);
  }
}

TEST_CASE("a log replays to the same bits, and to the optimiser's state") {
  const temporary_folder folder;
  quadratic q;
  q.bad_step = 2;
  q.bad_loss = std::numeric_limits<double>::quiet_NaN();
  zo::parabolic<zo::constant> optimizer{.scales = {.epsilon = q.estimator.epsilon, .elevation = 0.01, .loss = 1}};
  auto log = zo::run_log::create(folder / "run.zlog",
                                 {.seed = q.estimator.seed, .start = zo::fingerprint(q.parameters), .settings = {}});
  struct append {
    zo::run_log* log;
    void after_step(const train::step_report& report) { log->append(*report.update); }
  };
  train::run(q.parameters, q, q.estimator, optimizer, 0, 7, q.threads, append{&log});
  const auto read = zo::run_log::read(folder / "run.zlog");
  REQUIRE(read.updates().size() == 7);

  quadratic again;
  zo::parabolic<zo::constant> state{.scales = optimizer.scales};
  CHECK(train::replay(again.estimator.elements, again.parameters, read, state, again.threads) == 7);
  CHECK(again.values == q.values);
  CHECK(state.gauge.rms() == optimizer.gauge.rms());
  CHECK(state.gauge.fraction() == optimizer.gauge.fraction());
  CHECK(state.gauge.rms() > 0);

  quadratic wrong;
  wrong.values[3] += 1;
  const auto start = wrong.values;
  check_mentions(message_of<value_error>([&] {
    train::replay(wrong.estimator.elements, wrong.parameters, read, state, wrong.threads);
  }), "run.zlog", "started from other parameters", fmt::format("{:016x}", read.header().start),
      fmt::format("{:016x}", zo::fingerprint(wrong.parameters)));
  CHECK(wrong.values == start);
}

TEST_CASE("an empty log leads to step 0") {
  const temporary_folder folder;
  quadratic q;
  const auto log =
      zo::run_log::create(folder / "run.zlog", {.seed = 1, .start = zo::fingerprint(q.parameters), .settings = {}});
  CHECK(train::replay(q.estimator.elements, q.parameters, log, q.optimizer, q.threads) == 0);
}

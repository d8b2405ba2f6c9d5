// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/trainer.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/failing_new.hpp>
#include <support/files.hpp>
#include <support/quadratic.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/directions/partition.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// A store as a deployed model is one.
struct deployed_store {
  template <class F>
  void for_each_parameter(F&&) const {}
};

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

/// The same problem with its values as swept rows: the pass that reads a row next makes its update. Asked to, it
/// throws in the middle of a pass.
struct swept_quadratic : quadratic {
  static constexpr std::size_t rows = 4;
  zo::deferred_update<> pending;
  std::uint32_t failing_step = std::numeric_limits<std::uint32_t>::max();

  template <class F>
  void for_each_parameter(F&& visit) const {
    visit(swept());
  }
  void operator()(const zo::lane_points<zo::rademacher>& points, std::size_t, std::span<double> losses) {
    const zo::lanes<zo::rademacher, simd::default_kernels, decltype(pending)> lanes(points, &pending);
    sweep_scratch scratch;
    std::ranges::fill(losses, 0.0);
    for (std::size_t row = 0; row != rows; ++row) {
      if (selected.back() == failing_step && row == rows / 2) throw std::runtime_error("half way");
      lanes.sweep_rows(swept(), row, 1, scratch,
                       [&](std::size_t, std::size_t lane, std::span<const lane_values> seen) {
                         for (const lane_values& v : seen) losses[lane++] += of_row(v);
                       });
    }
  }
  void defer(const zo::update<zo::rademacher>& u, swept_quadratic& store) { pending.defer(u, store, threads); }
  void flush(swept_quadratic& store) { pending.flush(store, threads); }

 private:
  [[nodiscard]] parameter swept() const {
    parameter p = parameters[0];
    p.row_size = p.values.size() / rows;
    return p;
  }
  static double of_row(const lane_values& v) {
    double total = 0;
    for (std::size_t i = 0; i != 20 / rows; ++i) {
      const double x = v.direction ? add_product(v.values[i], v.scale, v.direction[i]) : v.values[i];
      total += 0.5 * x * x;
    }
    return total;
  }
};

using values_by_step = std::vector<std::vector<float>>;

/// Notes the values that a callback finds.
struct watch {
  const quadratic* problem;
  values_by_step* seen;
  void after_step(const train::step_report&) { seen->push_back(problem->values); }
};
/// The same after every `every`-th step; between them it looks without having asked for it.
struct glance : watch {
  std::uint32_t every;
  [[nodiscard]] bool reads_parameters(const train::step_report& report) const {
    return (report.step + 1) % every == 0;
  }
};
struct watch_by_stop {
  const quadratic* problem;
  values_by_step* seen;
  bool stop() {
    seen->push_back(problem->values);
    return false;
  }
};
struct watch_at_end {
  const quadratic* problem;
  values_by_step* seen;
  void end() { seen->push_back(problem->values); }
};

/// The values after each step where every update is made at once.
values_by_step eagerly(std::uint32_t steps) {
  quadratic q;
  values_by_step values;
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, steps}, q.threads, watch{&q, &values});
  return values;
}
template <class... Callbacks>
void run_swept(swept_quadratic& q, std::uint32_t steps, Callbacks&&... callbacks) {
  train::run(q, q, q.estimator, q.optimizer, {0, steps}, q.threads, callbacks...);
}

}  // namespace

TEST_CASE("callbacks are found by the members they have") {
  quadratic q;
  std::vector<std::uint32_t> begun, made;
  int ended = 0;
  only_steps steps{&made};  // a name is as good as a temporary
  CHECK(train::run(q.parameters, q, q.estimator, q.optimizer, {2, 5}, q.threads, only_begin{&begun}, steps,
                   only_end{&ended}) == 0);
  CHECK(begun == std::vector<std::uint32_t>{2, 5});
  CHECK(made == std::vector<std::uint32_t>{2, 3, 4});
  CHECK(ended == 1);
  CHECK(q.selected == made);

  made.clear();
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 10}, q.threads, only_steps{&made}, stop_after{3},
             only_end{&ended});
  CHECK(made == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(ended == 2);

  made.clear();
  for (const std::uint32_t first : {5u, 6u})
    train::run(q.parameters, q, q.estimator, q.optimizer, {first, 5}, q.threads, only_steps{&made});
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
      REQUIRE(report.measured != nullptr);
      REQUIRE(report.update != nullptr);
      CHECK(report.measured->step == report.step);
      CHECK(report.update->half_difference == report.measured->half_difference);
      CHECK(std::isfinite(report.measured->loss));
    }
  } callback{&q};
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 4}, q.threads, callback);
  CHECK(callback.seen == 4);
}

TEST_CASE("training goes down") {
  quadratic q;
  const double before = q.at_masters();
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 300}, q.threads);
  CHECK(q.at_masters() < 0.2 * before);
}

TEST_CASE("a callback finds the values after its step, unless it says that it does not look") {
  const values_by_step expected = eagerly(6);
  const auto seen_by = [&](auto... callbacks) {
    swept_quadratic q;
    values_by_step seen;
    run_swept(q, 6, callbacks(q, seen)...);
    CHECK(q.values == expected.back());
    return seen;
  };
  const auto watching = [](swept_quadratic& q, values_by_step& seen) { return watch{&q, &seen}; };
  const auto at_stop = [](swept_quadratic& q, values_by_step& seen) { return watch_by_stop{&q, &seen}; };
  const auto at_end = [](swept_quadratic& q, values_by_step& seen) { return watch_at_end{&q, &seen}; };
  const auto every = [](std::uint32_t n) {
    return [n](swept_quadratic& q, values_by_step& seen) { return glance{{&q, &seen}, n}; };
  };
  CHECK(seen_by(watching) == expected);
  CHECK(seen_by(at_stop) == expected);
  CHECK(seen_by(at_end) == values_by_step{expected.back()});
  CHECK(seen_by(every(1)) == expected);

  // The update of a step waits for the pass of the next: whoever does not ask finds that of the step before.
  const values_by_step late = seen_by(every(7));
  REQUIRE(late.size() == 6);
  CHECK(late[0] == quadratic().values);
  for (std::size_t step = 1; step != 6; ++step) CHECK(late[step] == expected[step - 1]);
  const values_by_step some = seen_by(every(3));
  for (std::size_t step = 1; step != 6; ++step) CHECK(some[step] == expected[step % 3 == 2 ? step : step - 1]);

  // One that looks is enough.
  const values_by_step both = seen_by(every(7), watching);
  for (std::size_t step = 0; step != 6; ++step) {
    CHECK(both[2 * step] == expected[step]);
    CHECK(both[2 * step + 1] == expected[step]);
  }
}

TEST_CASE("a step that throws leaves the values as the update before made them") {
  const values_by_step expected = eagerly(3);
  swept_quadratic in_pass;
  in_pass.failing_step = 3;
  CHECK_THROWS_AS(run_swept(in_pass, 6), std::runtime_error);
  CHECK(in_pass.values == expected[2]);

  struct throws {
    void after_step(const train::step_report& report) {
      if (report.step == 2) throw std::logic_error("a callback");
    }
    static bool reads_parameters(const train::step_report&) { return false; }
  };
  swept_quadratic in_callback;
  CHECK_THROWS_AS(run_swept(in_callback, 6, throws{}), std::logic_error);
  CHECK(in_callback.values == expected[2]);
}

TEST_CASE("a loss that is not finite is rejected, counted and leaves the weights") {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    quadratic q;
    const auto start = q.values;
    q.bad_step = 0;
    q.bad_loss = bad;
    CHECK(train::run(q.parameters, q, q.estimator, q.optimizer, {0, 1}, q.threads) == 1);
    CHECK(q.values == start);

    quadratic with, without;
    with.bad_step = 3;
    with.bad_loss = bad;
    std::vector<std::uint32_t> rejected;
    struct count {
      std::vector<std::uint32_t>* to;
      void after_step(const train::step_report& report) { to->push_back(report.rejected); }
    };
    CHECK(train::run(with.parameters, with, with.estimator, with.optimizer, {0, 5}, with.threads, count{&rejected}) ==
          1);
    CHECK(rejected == std::vector<std::uint32_t>{0, 0, 0, 1, 1});
    train::run(without.parameters, without, without.estimator, without.optimizer, {0, 3}, without.threads);
    train::run(without.parameters, without, without.estimator, without.optimizer, {4, 5}, without.threads);
    CHECK(with.values == without.values);
  }
}

TEST_CASE("a log replays to the same bits, and to the optimizer's state") {
  const temporary_folder folder;
  quadratic q;
  q.bad_step = 2;
  q.bad_loss = std::numeric_limits<double>::quiet_NaN();
  zo::parabolic<zo::constant> optimizer{.scales = {.epsilon = q.estimator.epsilon, .loss_increase = 0.01, .loss = 1}};
  auto log = zo::run_log::create(folder / "run.zlog", {.seed = q.estimator.seed,
                                                       .start = zo::fingerprint(q.parameters),
                                                       .settings = {},
                                                       .distribution = "rademacher"});
  struct append {
    zo::run_log* log;
    void after_step(const train::step_report& report) { log->append(*report.update); }
  };
  train::run(q.parameters, q, q.estimator, optimizer, {0, 7}, q.threads, append{&log});
  const auto read = zo::run_log::read(folder / "run.zlog");
  REQUIRE(read.updates().size() == 7);

  quadratic again;
  zo::parabolic<zo::constant> state{.scales = optimizer.scales};
  CHECK(train::replay(again.estimator.distribution, again.parameters, read, state, again.threads) == 7);
  CHECK(again.values == q.values);
  CHECK(state.tracker.rms() == optimizer.tracker.rms());
  CHECK(state.tracker.fraction() == optimizer.tracker.fraction());
  CHECK(state.tracker.rms() > 0);

  quadratic wrong;
  wrong.values[3] += 1;
  const auto start = wrong.values;
  check_mentions(message_of<value_error>([&] {
                   train::replay(wrong.estimator.distribution, wrong.parameters, read, state, wrong.threads);
                 }),
                 "run.zlog", "started from other parameters", fmt::format("{:016x}", read.header().start),
                 fmt::format("{:016x}", zo::fingerprint(wrong.parameters)));
  CHECK(wrong.values == start);
}

TEST_CASE("the first steps of a log make the parameters as they were then") {
  const temporary_folder folder;
  quadratic q;
  auto log = zo::run_log::create(folder / "run.zlog", {.seed = q.estimator.seed,
                                                       .start = zo::fingerprint(q.parameters),
                                                       .settings = {},
                                                       .distribution = "rademacher"});
  struct append {
    zo::run_log* log;
    void after_step(const train::step_report& report) { log->append(*report.update); }
  };
  values_by_step after{q.values};
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, 5}, q.threads, append{&log}, watch{&q, &after});
  for (std::uint32_t steps = 0; steps != 6; ++steps) {
    quadratic again;
    train::replay_first(again.estimator.distribution, again.parameters, log, steps, again.optimizer, again.threads);
    CHECK(again.values == after[steps]);
  }
  quadratic again;
  check_mentions(message_of<value_error>([&] {
                   train::replay_first(again.estimator.distribution, again.parameters, log, 6, again.optimizer,
                                       again.threads);
                 }),
                 "run.zlog", "6 steps are wanted", "has 5");
  CHECK(again.values == after[0]);

  std::vector<std::uint32_t> seen;
  train::replay(again.estimator.distribution, again.parameters, log, again.optimizer, again.threads,
                [&](std::uint32_t done) {
                  seen.push_back(done);
                  CHECK(again.values == after[done]);
                });
  CHECK(seen == std::vector<std::uint32_t>{1, 2, 3, 4, 5});
}

TEST_CASE("a run in which nothing trains is refused") {
  deployed_store nothing;
  quadratic q;
  check_mentions(message_of<value_error>([&] {
                   train::run(nothing, q, q.estimator, q.optimizer, {0, 1}, q.threads);
                 }),
                 "no parameter trains", "deployed");
}

TEST_CASE("an objective that was told otherwise than the estimator is refused with both values") {
  struct told : quadratic {
    std::size_t parts = 1;
    [[nodiscard]] std::size_t micro_batches() const { return parts; }
  } q;
  const auto run = [&] { train::run(q.parameters, q, q.estimator, q.optimizer, {0, 1}, q.threads); };
  run();
  q.parts = 3;
  check_mentions(message_of<value_error>(run), "objective has 3 micro-batches", "estimator 1");
  CHECK(q.selected.size() == 1);
}

TEST_CASE("a log is not replayed along directions of another distribution") {
  const temporary_folder folder;
  quadratic q;
  const auto log = zo::run_log::create(
      folder / "run.zlog",
      {.seed = 1, .start = zo::fingerprint(q.parameters), .settings = {}, .distribution = "gaussian"});
  check_mentions(message_of<value_error>(
                     [&] { train::replay(q.estimator.distribution, q.parameters, log, q.optimizer, q.threads); }),
                 "run.zlog", "gaussian", "rademacher");
}

TEST_CASE("an empty log leads to step 0") {
  const temporary_folder folder;
  quadratic q;
  const auto log = zo::run_log::create(
      folder / "run.zlog",
      {.seed = 1, .start = zo::fingerprint(q.parameters), .settings = {}, .distribution = "rademacher"});
  CHECK(train::replay(q.estimator.distribution, q.parameters, log, q.optimizer, q.threads) == 0);
}

namespace {

/// Steps of an optimizer that remembers, in a log.
template <class Problem>
struct logged_run {
  Problem problem;
  zo::parabolic<> optimizer{.scales = {.epsilon = problem.estimator.epsilon, .loss_increase = 0.5},
                            .schedule = {.steps = 3}};
  std::optional<zo::run_log> log;

  auto& store() {
    if constexpr (std::is_same_v<Problem, quadratic>)
      return problem.parameters;
    else
      return problem;
  }
  void run(zo::run_log* to, std::uint32_t first, std::uint32_t steps) {
    train::run(store(), problem, problem.estimator, optimizer, {first, steps}, problem.threads, train::write_log{to});
  }
};

}  // namespace

TEST_CASE_TEMPLATE("a run for which memory runs out stands after a whole step, its log never behind it", Problem,
                   quadratic, swept_quadratic) {
  const temporary_folder folder;
  values_by_step whole;
  double remembered = 0;
  for (std::uint32_t steps = 0; steps != 4; ++steps) {
    logged_run<Problem> first_steps;
    first_steps.run(nullptr, 0, steps);
    whole.push_back(first_steps.problem.values);
    remembered = first_steps.optimizer.tracker.rms();
  }
  std::size_t within_step = 0, behind = 0, other_end = 0;
  const std::size_t failures = fail_each_allocation(
      [&] {
        auto t = std::make_unique<logged_run<Problem>>();
        t->log.emplace(zo::run_log::create(folder / "log", {.seed = t->problem.estimator.seed}, {.replace = true}));
        return t;
      },
      [](auto& t) { t->run(&*t->log, 0, 3); },
      [&](auto& t) {
        const auto at = std::ranges::find(whole, t->problem.values);
        if (at == whole.end()) return void(++within_step);
        const auto made = static_cast<std::uint32_t>(at - whole.begin());
        behind += t->log->steps() < made || t->log->steps() > made + 1;
        t->run(nullptr, made, 3);  // with what the optimizer remembers
        other_end += t->problem.values != whole.back() || t->optimizer.tracker.rms() != remembered;
      });
  CHECK(failures > 30);
  CHECK(within_step == 0);
  CHECK(behind == 0);
  CHECK(other_end == 0);
}

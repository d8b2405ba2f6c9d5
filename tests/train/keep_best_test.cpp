// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/keep_best.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/quadratic.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/log/run_log.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// Scores that come one after the other.
auto from_list(std::vector<double> scores) {
  return [scores, next = std::size_t{0}]() mutable { return scores.at(next++); };
}
std::vector<std::uint32_t> steps_of(std::span<const train::scored_step> scores) {
  std::vector<std::uint32_t> steps;
  for (const auto& s : scores) steps.push_back(s.steps);
  return steps;
}
template <class Best>
void run(Best& best, std::uint32_t first, std::uint32_t steps) {
  quadratic q;
  train::run(q.parameters, q, q.estimator, q.optimizer, {first, steps}, q.threads, best);
}

}  // namespace

TEST_CASE("the best of the scores is remembered with its step, the first of equals") {
  train::keep_best best(2, from_list({0.1, 0.7, 0.3, 0.7}));
  CHECK(!best.best());
  run(best, 0, 7);
  CHECK(steps_of(best.scores()) == std::vector<std::uint32_t>{2, 4, 6, 7});
  CHECK(best.best() == train::scored_step{4, 0.7});

  train::keep_best worse(2, from_list({0.9, 0.1}));
  worse.observe(0);  // the base competes
  run(worse, 0, 2);
  CHECK(worse.best() == train::scored_step{0, 0.9});

  train::keep_best never(0, from_list({}));
  run(never, 0, 2);
  CHECK(!never.best());
  CHECK(never.scores().empty());

  const double nan = std::numeric_limits<double>::quiet_NaN();
  train::keep_best odd(1, from_list({nan, 0.2, nan}));
  run(odd, 0, 3);
  CHECK(odd.best() == train::scored_step{2, 0.2});
}

TEST_CASE("without a score that is a number there is no best step, and who needs one is told") {
  train::keep_best best(1, [] { return std::numeric_limits<double>::quiet_NaN(); });
  best.observe(0);
  best.observe(1);
  CHECK(!best.best());
  check_mentions(message_of<value_error>([&] { static_cast<void>(best.require_best()); }), "keep_best", "2 scores",
                 "no step is the best");
}

TEST_CASE("only steps that are scored make the weights wait for nobody") {
  const train::keep_best best(3, from_list({}));
  std::vector<std::uint32_t> read;
  for (std::uint32_t step = 0; step != 7; ++step)
    if (best.reads_parameters({.step = step, .steps = 7})) read.push_back(step + 1);
  CHECK(read == std::vector<std::uint32_t>{3, 6, 7});
}

TEST_CASE("the best model is made again from the log, and a run that goes on finds its scores again") {
  const temporary_folder folder;
  const auto path = folder / "run.zlog";
  constexpr std::uint32_t steps = 12;
  quadratic q;
  q.bad_step = 3;
  q.bad_loss = std::numeric_limits<double>::infinity();
  // Up to a point, then away from it: the best step is in the middle.
  const auto score = [](quadratic& of) { return [&of] { return -std::abs(of.at_masters() - 8.5); }; };
  train::keep_best best(2, score(q));
  std::vector<std::vector<float>> values;
  struct note {
    quadratic* q;
    std::vector<std::vector<float>>* to;
    void after_step(const train::step_report&) { to->push_back(q->values); }
  };
  auto log = zo::run_log::create(
      path, {.seed = 11, .start = zo::fingerprint(q.parameters), .settings = {}, .distribution = "rademacher"});
  train::run(q.parameters, q, q.estimator, q.optimizer, {0, steps}, q.threads, train::write_log{&log}, best,
             note{&q, &values});
  REQUIRE(best.best());
  const std::uint32_t chosen = best.best()->steps;
  CHECK(chosen > 2);
  CHECK(chosen < steps);

  quadratic again;
  train::replay_first(again.estimator.distribution, again.parameters, log, chosen, again.optimizer, again.threads);
  CHECK(again.values == values[chosen - 1]);

  quadratic resumed;
  train::keep_best rest(2, score(resumed));
  train::replay(resumed.estimator.distribution, resumed.parameters, log, resumed.optimizer, resumed.threads,
                [&](std::uint32_t done) { rest(done, steps); });
  CHECK(std::ranges::equal(rest.scores(), best.scores()));
  CHECK(rest.best() == best.best());
}

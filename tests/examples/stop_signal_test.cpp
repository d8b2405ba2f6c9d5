// SPDX-License-Identifier: Apache-2.0
#include <common/stop_signal.hpp>

#include <doctest/doctest.h>
#include <support/quadratic.hpp>

#include <csignal>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

TEST_CASE("a signal ends a run after the step that it makes, and the program learns which one it was") {
  struct interrupts {
    int number;
    void after_step(const train::step_report& report) const {
      if (report.step == 3) std::raise(number);
    }
  };
  for (const int number : {SIGINT, SIGTERM}) {
    quadratic q;
    stop_signal signals;
    CHECK_FALSE(stop_signal::stop());
    train::run(q.parameters, q, q.estimator, q.optimizer, {0, 100}, q.threads, interrupts{number}, signals);
    CHECK(q.selected.size() == 4);
    CHECK(signals.made() == 4);
    CHECK(stop_signal::exit_status() == 128 + number);
  }
  const stop_signal fresh(7);
  CHECK(fresh.made() == 7);
  CHECK(stop_signal::exit_status() == 0);
}

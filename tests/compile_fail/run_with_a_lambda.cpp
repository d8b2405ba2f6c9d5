// SPDX-License-Identifier: Apache-2.0
// expect: a callback has none of begin.first, steps., before_update.report., after_step.report., stop.. and end..
#include <zoqat/train/trainer.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/optimizers/sgd.hpp>

using namespace zoqat;

struct objective {
  void operator()(const auto&, std::size_t, std::span<double> losses) { losses[0] = losses[1] = 0; }
};
struct callback {
  void after_step(const train::step_report&) {}
};

void train_it(zo::parameter_list& parameters, objective& loss, zo::sgd<>& optimizer, sequential& threads) {
#ifdef FAULTY
  const auto watch = [](const train::step_report&) {};
#else
  callback watch;
#endif
  train::run(parameters, loss, zo::estimator{}, optimizer, {0, 10}, threads, watch);
}

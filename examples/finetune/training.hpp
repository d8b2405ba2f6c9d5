// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/plural.hpp>         // plural
#include <zoqat/io/quantized_model.hpp>  // save_quantized
#include <zoqat/train/callbacks.hpp>     // write_log
#include <zoqat/train/keep_best.hpp>     // keep_best
#include <zoqat/train/progress_bar.hpp>  // progress_bar
#include <zoqat/train/task_loss.hpp>     // task_loss
#include <zoqat/train/trainer.hpp>       // run, replay_first
#include <zoqat/zo/log/run_log.hpp>      // run_log, fingerprint
#include <zoqat/zo/scales/balance.hpp>   // balance

#include <common/either_optimizer.hpp>
#include <common/kept_start.hpp>
#include <common/model_origin.hpp>
#include <common/outcome.hpp>
#include <common/run_inputs.hpp>
#include <common/settings_text.hpp>
#include <common/stop_signal.hpp>
#include <finetune/results.hpp>
#include <finetune/settings.hpp>
#include <finetune/workbench.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

/// One training, and the row of the table that it makes. The best step is chosen by the validation score (for Alpaca
/// by the validation loss), never by the test score, and the model as it was then is made again from the base and the
/// run log.
namespace zoqat::programs {

/// SGD with the rates that were given, or steps to the bottom of parabolas whose curvature is measured here.
template <class Model, class Loss>
step_plan plan_steps(Model& model, Loss& loss, const settings& s, std::uint64_t seed) {
  const zo::linear_decay schedule{s.steps, s.final_rate};
  if (s.optimizer == "sgd") {
    per_group<float> epsilon, rate;
    epsilon.weight = s.epsilon, rate.weight = s.rate;
    return {{zo::sgd<zo::linear_decay>{rate, schedule}}, epsilon};
  }
  per_group<bool> weights;
  weights.weight = true;
  // A perturbation of much less than a cell of the grid (ε is in cells) would be lost in the noise of rounding.
  // Without rounding a small one is better: the loss is nearer to its parabola.
  const double elevation = Model::scheme::quantizes_weights ? s.elevation : s.smooth_elevation;
  return parabolic_plan(zo::balance(model, loss, zo::rademacher{},
                                    {.relative_loss_increase = elevation,
                                     .groups = weights,
                                     .probes = 24,
                                     .rounds = 4,
                                     .first_epsilon = 0.05f,
                                     .smallest_epsilon = 1e-3f,
                                     .largest_epsilon = 0.5f,
                                     .seed = ~seed}),
                        s.trust, schedule);
}

/// One training of `model`, written to `log`, whose steps are replayed first. Returns the step with the best
/// validation score, 0 for the start.
template <class Model>
std::uint32_t train_once(const std::string& row, Model model, zo::run_log& log, workbench& bench, const settings& s) {
  train::task_loss<Model, thread_pool> loss(
      model, bench.train.items, bench.threads,
      {.batch = s.batch,
       .micro_batches = s.micro_batches,
       .compared_with = bench.answers() ? train::task_target::tokens : train::task_target::candidates,
       .part_tokens = s.part_tokens,
       .seed = bench.seed});
  auto [optimizer, epsilon] = plan_steps(model, loss, s, bench.seed);
  const zo::estimator<zo::central, zo::rademacher> estimator{
      .epsilon = epsilon, .micro_batches = s.micro_batches, .seed = bench.seed};
  train::keep_best best(s.every, [&] { return bench.merit(model); });
  best.observe(0);
  const std::uint32_t first = train::replay(estimator.distribution, model, log, optimizer, bench.threads,
                                            [&](std::uint32_t done) { best(done, s.steps); });
  stop_signal signals(first);
  const std::uint32_t rejected = train::run(model, loss, estimator, optimizer, {first, s.steps}, bench.threads,
                                            train::write_log{&log}, best, train::progress_bar(), signals);
  if (stop_signal::stop() && signals.made() < s.steps) throw ended_by_signal{stop_signal::exit_status()};
  fmt::print("seed {}: {}: epsilon {:.3g}, validation", bench.seed, row, estimator.epsilon.weight);
  for (const train::scored_step& score : best.scores()) fmt::print(" {:.4g}", score.score);
  fmt::print(" at every {} steps\n", s.every);
  if (rejected > 0) fmt::print("{} with a loss that was not finite changed nothing\n", plural(rejected, "step"));
  fmt::print("{}", note_if_kept(best.require_best().steps, "validation", best.scores().front().score,
                                best.scores().back().score, "Give it more --steps or other --seeds."));
  return best.require_best().steps;
}

/// The log of a run that begins with `start`, or of one that goes on, from the start that is kept if there is one.
template <class Model>
zo::run_log open_log(const std::string& path, Model& start, const std::string& trained, workbench& bench,
                     const settings& s) {
  if (!s.resume || !zo::run_log::is_begun(path)) {
    begin_start(start, path, s.snapshot, s.overwrite);  // first: a log that has a start never lacks it
    return zo::run_log::create(
        path, {bench.seed, zo::fingerprint(start), s.as_text(trained), zo::rademacher::name(), s.steps, bench.inputs},
        s.log_how());
  }
  auto log = zo::run_log::resume(path, s.log_how());
  require_same_settings(log.header().settings, s.as_text(trained), path);
  require_same_inputs(log, bench.inputs);
  restore_kept_start(start, log);
  fmt::print("{}: goes on after {}{}\n", path, plural(log.updates().size(), "step"),
             log.cut_bytes() > 0 ? ", without the one within which the run was cut off" : "");
  return log;
}

/// Trains the model that `make` makes, adds its row, and returns it as it was at the best step: made again from its
/// start and the log, so that there is never a second copy of the weights.
template <class Make>
auto tune(const std::string& row, const std::string& trained, Make&& make, workbench& bench, const settings& s,
          results& to) {
  using model_type = decltype(make());
  const std::string path = s.path(row, bench.seed);
  auto start = make();
  auto log = open_log(path + log_ending, start, trained, bench, s);
  const std::uint32_t steps = train_once<model_type>(row, std::move(start), log, bench, s);
  model_type model = make();
  restore_kept_start(model, log);
  either_optimizer stateless;
  train::replay_first(zo::rademacher{}, model, log, steps, stateless, bench.threads);
  to.add(row, model, bench, steps, model.held_bytes());
  if constexpr (model_type::scheme::quantizes_weights) {
    model.deploy();
    io::save_quantized(path + model_ending, model, s.scheme, origin_of(log, steps));
  }
  return model;
}

}  // namespace zoqat::programs

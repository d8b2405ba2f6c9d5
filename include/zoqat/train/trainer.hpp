// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/optimizer.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI::train {

/// What a callback sees after a step.
struct step_report {
  std::uint32_t step = 0;   ///< that was made, from 0
  std::uint32_t steps = 0;  ///< of the whole run
  const zo::measurement* measured = nullptr;
  const zo::planned_update* update = nullptr;
  std::uint32_t rejected = 0;  ///< steps so far whose loss was not finite
};

/// What looks on while a run goes: it has at least one of the five functions.
template <class C>
concept callback =
    requires(C& c) { c.begin(0u, 0u); } || requires(C& c, const step_report& r) { c.before_update(r); } ||
    requires(C& c, const step_report& r) { c.after_step(r); } || requires(C& c) { c.end(); } ||
    requires(C& c) { c.stop(); };

namespace detail {

template <class C>
void call_begin(C& callback, std::uint32_t first, std::uint32_t steps) {
  if constexpr (requires { callback.begin(first, steps); }) callback.begin(first, steps);
}
template <class C>
void call_before(C& callback, const step_report& report) {
  if constexpr (requires { callback.before_update(report); }) callback.before_update(report);
}
template <class C>
void call_step(C& callback, const step_report& report) {
  if constexpr (requires { callback.after_step(report); }) callback.after_step(report);
}
template <class C>
void call_end(C& callback) {
  if constexpr (requires { callback.end(); }) callback.end();
}
/// A callback that stops the run returns true from `stop()`.
template <class C>
bool asks_to_stop(C& callback) {
  if constexpr (requires {
                  { callback.stop() } -> std::convertible_to<bool>;
                })
    return callback.stop();
  else
    return false;
}

/// A callback looks at the parameters after a step unless its `reads_parameters(report)` says otherwise.
template <class C>
bool looks(const C& callback, const step_report& report) {
  if constexpr (requires {
                  { callback.reads_parameters(report) } -> std::convertible_to<bool>;
                })
    return callback.reads_parameters(report);
  else
    return requires(C& c) { c.after_step(report); } || requires(C& c) { c.stop(); };
}

/// Makes the updates of a run: in the objective's next pass where it can do that, else at once.
template <class Objective, class Store, class Executor>
class updater {
 public:
  updater(Objective& loss, Store& parameters, Executor& threads)
      : loss_(loss), parameters_(parameters), threads_(threads) {}
  updater(const updater&) = delete;
  updater& operator=(const updater&) = delete;
  ~updater() { finish(); }  // also where a step throws: the masters are never left half way

  template <zo::distribution Distribution>
  void make(const zo::update<Distribution>& u) {
    if constexpr (requires { loss_.defer(u, parameters_); })
      loss_.defer(u, parameters_);
    else
      zo::apply(u, parameters_, threads_);
  }
  void finish() {
    if constexpr (requires { loss_.flush(parameters_); }) loss_.flush(parameters_);
  }

 private:
  Objective& loss_;
  Store& parameters_;
  Executor& threads_;
};

struct nothing {
  constexpr void operator()(std::uint32_t) const noexcept {}
};

template <zo::distribution Distribution, parameter_store Store, zo::optimizer Optimizer, executor Executor,
          class Each>
std::uint32_t replay(const Distribution& distribution, Store& parameters, const zo::run_log& log,
                     std::span<const zo::planned_update> updates, Optimizer& optimizer, Executor& threads,
                     Each&& each) {
  require(log.header().distribution == distribution.name(),
          "{}: the log's directions are {}, but {} ones were given to replay it", log.path().native(),
          log.header().distribution, distribution.name());
  const std::uint64_t here = zo::fingerprint(parameters);
  require(here == log.header().start,
          "{}: the log started from other parameters (fingerprint {:016x}, here {:016x}): use the model, options and "
          "instruction set it was made with",
          log.path().native(), log.header().start, here);
  std::uint32_t next = 0;
  for (const zo::planned_update& u : updates) {
    zo::apply(zo::update{u, distribution}, parameters, threads);
    optimizer.replay(u);
    each(next = u.step + 1);
  }
  return next;
}

/// Refuses an objective that was told of other micro-batches than the estimator.
template <class Objective, class Estimator>
void require_match(const Objective& loss, const Estimator& estimator) {
  if constexpr (requires { loss.micro_batches() == estimator.micro_batches; })
    require(loss.micro_batches() == estimator.micro_batches,
            "train::run: the objective has {} micro-batches, but the estimator {}", loss.micro_batches(),
            estimator.micro_batches);
}

}  // namespace detail

/// Applies the updates of a log that were made before, and calls `each(steps made)` after each; the optimizer gets
/// back its state. Returns the next step. Throws value_error if the parameters are not those the log started from.
template <zo::distribution Distribution, parameter_store Store, zo::optimizer Optimizer, executor Executor,
          std::invocable<std::uint32_t> Each = detail::nothing>
std::uint32_t replay(const Distribution& distribution, Store& parameters, const zo::run_log& log,
                     Optimizer& optimizer, Executor& threads, Each&& each = {}) {
  return detail::replay(distribution, parameters, log, log.updates(), optimizer, threads, each);
}

/// The same for the first `steps` steps of a log: the model as it was then, such as the best one of `keep_best`.
/// Throws value_error also if the log has fewer.
template <zo::distribution Distribution, parameter_store Store, zo::optimizer Optimizer, executor Executor>
void replay_first(const Distribution& distribution, Store& parameters, const zo::run_log& log, std::uint32_t steps,
                  Optimizer& optimizer, Executor& threads) {
  const std::span<const zo::planned_update> all = log.updates();
  const std::uint32_t made = all.empty() ? 0 : all.back().step + 1;
  require(steps <= made, "{}: {} are wanted, but the log has {}", log.path().native(), plural(steps, "step"), made);
  const auto end = std::ranges::lower_bound(all, steps, {}, &zo::planned_update::step);
  detail::replay(distribution, parameters, log, std::span(all.begin(), end), optimizer, threads, detail::nothing{});
}

/// Which steps a run makes.
struct run_steps {
  std::uint32_t first = 0;  ///< 0, or where a log ends that was replayed
  std::uint32_t steps = 0;  ///< of the whole run, those before `first` included
};

/// Trains: makes `zo::step` after `zo::step`. Selects the data, asks for the lanes, evaluates, tells, plans, moves,
/// and calls each callback's `begin(first, steps)`, `before_update(report)`, `after_step(report)`, `stop()` and
/// `end()`, whichever it has. A step whose loss is not finite is skipped and counted. Returns the number of such
/// steps. What throws leaves the parameters and the optimizer as they were before the step or after it: before it up
/// to `before_update`.
///
/// An objective with `defer(update, parameters)` and `flush(parameters)` makes an update on its next pass through the
/// weights. It is flushed before a callback looks at them; one that never does, or not after every step, says so by
/// `bool reads_parameters(report) const`. One with `micro_batches()` must have as many as the estimator: throws
/// value_error with both numbers where it has not, and for a store in which nothing trains.
template <class Difference, zo::distribution Distribution, class Shaping, class Objective, zo::optimizer Optimizer,
          parameter_store Store, executor Executor, class... Callbacks>
std::uint32_t run(Store& parameters, Objective& loss,
                  const zo::estimator<Difference, Distribution, Shaping>& estimator, Optimizer& optimizer,
                  run_steps range, Executor& threads, Callbacks&&... callbacks) {
  static_assert(
      zo::objective<Objective, Distribution> ||
          zo::shared_objective<Objective, zo::estimator<Difference, Distribution, Shaping>>,
      "train::run: the objective must be callable as loss(zo::lane_points<Distribution>, micro_batch, losses) "
      "for the distribution of the estimator");
  static_assert(
      (callback<std::remove_reference_t<Callbacks>> && ...),
      "train::run: a callback has none of begin(first, steps), before_update(report), after_step(report), stop() "
      "and end()");
  detail::require_match(loss, estimator);
  std::size_t trained = 0;
  parameters.for_each_parameter([&](const parameter& p) { trained += p.size(); });
  require(trained > 0, "train::run: no parameter trains: the model is deployed, or all of it is frozen");
  (detail::call_begin(callbacks, range.first, range.steps), ...);
  std::uint32_t rejected = 0;
  detail::updater updates(loss, parameters, threads);
  for (std::uint32_t step = range.first; step < range.steps; ++step) {
    if constexpr (requires { loss.select(step); }) loss.select(step);
    const zo::estimate<Distribution> estimate = estimator(step, loss);
    rejected += estimate.rejected();
    zo::tentative_plan plan(optimizer);
    const zo::update<Distribution> update = plan(estimate);
    [[maybe_unused]] const step_report report{step, range.steps, &estimate, &update, rejected};
    (detail::call_before(callbacks, report), ...);
    updates.make(update);
    plan.keep();
    if ((detail::looks(callbacks, report) || ...)) updates.finish();
    (detail::call_step(callbacks, report), ...);
    if ((detail::asks_to_stop(callbacks) || ...)) break;
  }
  updates.finish();
  (detail::call_end(callbacks), ...);
  return rejected;
}

}  // namespace zoqat::train

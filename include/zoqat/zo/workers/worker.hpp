// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/log/log_format.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/optimizer.hpp>
#include <zoqat/zo/update.hpp>
#include <zoqat/zo/workers/link.hpp>
#include <zoqat/zo/workers/member_objective.hpp>
#include <zoqat/zo/workers/message.hpp>
#include <zoqat/zo/workers/share.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo::workers {

struct worker_options {
  std::string name = "a worker";  ///< how the coordinator calls it in messages: a machine and a process, say
  std::chrono::milliseconds patience{120000};  ///< how long it waits for the coordinator; more than that waits for it
  /// Where the parameters are from a snapshot of the worker's own: the steps that they have behind them, and the
  /// fingerprint of the start. A snapshot that does not fit is found with the first share.
  std::uint32_t made = 0;
  std::uint64_t start = 0;
};

/// A worker beside the coordinator: evaluates its share of each step, sends the losses, hears what all of them come
/// to and makes the same update. An objective that `train::run` and `estimator` take in the place of the one it
/// shares:
///
///   worker shared(link, loss, model, terms_of(estimator, "data and rates"));
///   const std::uint32_t first = shared.join(estimator, optimizer, threads);
///   train::run(model, shared, estimator, optimizer, {first, steps}, threads);
///
/// A worker that falls behind makes the steps that it hears of without evaluating anything, and says so once it is
/// abreast. Throws worker_error, with the reason, where the coordinator is gone, silent or has put it out.
template <link Link, class Objective, parameter_store Store>
class worker : public member_objective<Objective, Store> {
  using base = member_objective<Objective, Store>;

 public:
  /// All that is given must outlive this. `terms`: see `terms_of`.
  worker(Link& link, Objective& loss, Store& parameters, std::uint64_t terms, worker_options how = {})
      : base(loss, parameters), link_(link), terms_(terms), how_(std::move(how)) {}

  /// Asks to be let in, and makes the steps that the run has behind it, from the weights that it started from: those
  /// that `parameters` must hold now. Nobody sends weights. Returns the first step to take part in. Cost: a sweep
  /// over the masters for each step.
  template <class Difference, distribution Distribution, class Shaping, optimizer Optimizer, executor Executor>
  std::uint32_t join(const estimator<Difference, Distribution, Shaping>&, Optimizer& optimizer, Executor& threads) {
    message hello{message::kind::hello, 0, {}};
    message_format::put(hello.content, message_format::protocol);
    message_format::put(hello.content, how_.made == 0 ? base::fingerprint_now() : how_.start);
    message_format::put(hello.content, terms_);
    message_format::put_text(hello.content, how_.name);
    link_.send(message_format::encode(hello));
    const log_format::content log = log_format::parse(take_log(), "the log that the coordinator sent");
    require<worker_error>(
        log.end == log_format::content::ending::whole && log.header.distribution == Distribution::name(),
        "the coordinator sent no whole log of {} directions", Distribution::name());
    for (const planned_update& u : log.updates) {
      if (u.step >= how_.made) apply(update{u, Distribution{}}, base::parameters(), threads);
      optimizer.replay(u);
    }
    return log.updates.empty() ? 0 : log.updates.back().step + 1;
  }

  template <class Difference, distribution Distribution, class Shaping>
    requires objective<Objective, Distribution>
  [[nodiscard]] estimate<Distribution> measure(const estimator<Difference, Distribution, Shaping>& estimator,
                                               std::uint32_t step) {
    bool sent = false;
    while (true) {
      // What has come already tells whether the step still needs this worker.
      std::optional<message> heard = hear(worker_clock::time_point::min());
      if (!heard && part_ && from_ <= step && !sent) {
        send_losses(step, evaluate_share(base::loss(), estimator.ask(step), *part_));
        sent = true;
        continue;
      }
      if (!heard && !part_ && !says_ready_) {
        link_.send(message_format::encode({message::kind::ready, step, {}}));
        says_ready_ = true;
      }
      if (!heard) heard = expect();
      if (heard->what == message::kind::share) {
        take_share(*heard);
        continue;
      }
      estimate<Distribution> result{{.seed = estimator.seed, .step = step, .epsilon = estimator.epsilon},
                                    estimator.distribution};
      const bool is_outcome = heard->what == message::kind::outcome || heard->what == message::kind::sparse;
      require<worker_error>(
          is_outcome && heard->is_of(step) && message_format::take_outcome(*heard, estimator.directions, result),
          "step {}: the coordinator sent what is not the outcome of the step", step);
      return result;
    }
  }

 private:
  /// A message that is there by then. One that puts this worker out ends the run here.
  std::optional<message> hear(worker_clock::time_point until) {
    const std::optional<std::vector<std::byte>> bytes = link_.receive(until);
    if (!bytes) return {};
    std::optional<message> m = message_format::decode(*bytes);
    require<worker_error>(m.has_value(), "the coordinator sent what is no message of this version");
    require<worker_error>(m->what != message::kind::leave, "{} was told to leave: {}", how_.name, m->text());
    return m;
  }
  message expect() {
    std::optional<message> m = hear(worker_clock::now() + how_.patience);
    require<coordinator_lost>(m.has_value(),
                              "the coordinator was not heard from for {} ms; its log can be gone on with",
                              how_.patience.count());
    return *std::move(m);
  }
  /// The bytes of the log so far.
  std::vector<std::byte> take_log() {
    std::vector<std::byte> log;
    while (true) {
      const message m = expect();
      std::span<const std::byte> rest = m.content;
      if (m.what == message::kind::log_end && message_format::take(rest, fingerprint_every_)) return log;
      require<worker_error>(m.what == message::kind::log, "the coordinator sent something other than its log");
      log.insert(log.end(), rest.begin(), rest.end());
    }
  }
  /// From the next step on; the coordinator says it before that begins.
  void take_share(const message& m) {
    std::span<const std::byte> rest = m.content;
    share next;
    std::uint32_t first = 0;
    if (!message_format::take(rest, next.begin) || !message_format::take(rest, next.end) ||
        !message_format::take(rest, first)) {
      part_.reset();
      says_ready_ = false;
      return;
    }
    is_new_ = is_new_ || !part_;
    part_ = next;
    from_ = first;
  }
  void send_losses(std::uint32_t step, std::span<const double> losses) {
    message m{message::kind::losses, step, {}};
    for (const double loss : losses) message_format::put(m.content, loss);
    if (fingerprint_every_ != 0 && (is_new_ || step % fingerprint_every_ == 0))
      message_format::put(m.content, base::fingerprint_now());
    is_new_ = false;
    link_.send(message_format::encode(m));
  }

  Link& link_;
  std::uint64_t terms_;
  worker_options how_;
  std::optional<share> part_;  // nothing: it follows what the others do
  std::uint32_t from_ = 0;     // the first step of that share
  bool says_ready_ = false, is_new_ = false;
  std::uint32_t fingerprint_every_ = 0;
};

}  // namespace zoqat::zo::workers

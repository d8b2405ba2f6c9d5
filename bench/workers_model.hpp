// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/zo/workers/message.hpp>
#include <zoqat/zo/workers/share.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

/// The protocol of zo/workers as a simulation: what a step of so many workers takes on machines and networks that are
/// not here. Times in seconds.
namespace zoqat::bench {

/// What is simulated. Random quantities are drawn anew for each worker and step.
struct workers_setting {
  std::size_t workers = 1;  ///< the coordinator, who evaluates too, among them
  std::size_t directions = 1, micro_batches = 4;
  std::size_t cores = 0;             ///< that the workers share; 0: each has its own
  double part = 1e-2;                ///< evaluating a direction on a micro-batch, both lanes
  double update = 1e-4;              ///< making an update, and whatever else each worker does in a step
  double latency = 5e-5;             ///< a message on its way: the least
  double latency_spread = 0;         ///< mean of an exponential on top
  double handling = 5e-6;            ///< receiving or sending a message, by the coordinator, one after another
  double bandwidth = 1.25e9;         ///< bytes per second in and out of the coordinator
  double jitter = 0;                 ///< σ of a lognormal factor (median 1) on evaluation
  double straggler = 0;              ///< probability that an evaluation is slowed by a Pareto factor (least 1)
  double straggler_shape = 1.5;      ///< its shape: P(factor > x) = x^−shape
  double patience = 1e9;             ///< of the coordinator, once its own share is done
  double lifetime = 1e18;            ///< mean of the exponential life of a worker
  double absence = 60;               ///< from a death until the worker knocks again; then it makes all steps so far
  bool leaves_out = false;           ///< in place of taking over
  std::size_t transport_bytes = 66;  ///< around each message: headers of Ethernet, IP and TCP
};

/// What came of it.
struct workers_outcome {
  double seconds_per_step = 0;
  double bytes_in = 0, bytes_out = 0;  ///< of the coordinator, a step, with those around messages
  double bytes_of_worker = 0;          ///< both ways, a step, without
  double sharing = 0;                  ///< mean part of the workers that share a step
  double missed = 0;                   ///< parts a step that did not come in time
  double busy = 0;                     ///< mean part of the time in which a worker evaluates
};

class workers_simulation {
 public:
  explicit workers_simulation(const workers_setting& setting, std::uint64_t seed = 0)
      : s_(setting), random_(seed), all_(setting.workers) {
    for (worker& w : all_) w.dies_at = exponential(s_.lifetime);
  }

  [[nodiscard]] workers_outcome run(std::size_t steps) {
    workers_outcome sum;
    for (step_ = 0; step_ != steps; ++step_) step(sum);
    const auto n = static_cast<double>(steps);
    sum.seconds_per_step = now_ / n;
    for (double* const value : {&sum.bytes_in, &sum.bytes_out, &sum.sharing, &sum.missed, &sum.bytes_of_worker})
      *value /= n;
    sum.busy /= now_ * static_cast<double>(all_.size());
    return sum;
  }

 private:
  struct worker {
    double starts = 0;  ///< when it has heard what the last step came to
    double dies_at = 0;
    double ready_at = 0;  ///< when it can take a share (again)
  };
  struct arrival {
    double at;
    std::size_t parts;
  };

  double exponential(double mean) { return mean <= 0 ? 0 : std::exponential_distribution<double>(1 / mean)(random_); }
  double uniform() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  double latency() { return s_.latency + exponential(s_.latency_spread); }
  double evaluation(std::size_t parts) {
    double factor = s_.jitter > 0 ? std::exp(s_.jitter * std::normal_distribution<double>()(random_)) : 1;
    if (s_.straggler > 0 && uniform() < s_.straggler) factor *= std::pow(1 - uniform(), -1 / s_.straggler_shape);
    return static_cast<double>(parts) * s_.part * factor;
  }

  void step(workers_outcome& sum) {
    std::vector<std::size_t> sharing{0};  // the coordinator does not die here
    for (std::size_t i = 1; i != all_.size(); ++i)
      if (all_[i].ready_at <= now_) sharing.push_back(i);
    const std::size_t lanes = 2 * s_.directions;
    std::vector<double> core_free(s_.cores, now_);
    std::vector<arrival> arrivals;
    double own_done = now_;
    std::size_t missed = 0, losses_bytes = 0;
    for (std::size_t k = 0; k != sharing.size(); ++k) {
      worker& w = all_[sharing[k]];
      const std::size_t parts = zo::workers::share_of(lanes, s_.micro_batches, 2, k, sharing.size()).size() / 2;
      const double work = s_.update + evaluation(parts);
      sum.busy += work - s_.update;
      double done = w.starts + work;
      if (!core_free.empty()) {  // workers of a core take turns
        double& free = core_free[k % core_free.size()];
        done = free = std::max(free, w.starts) + work;
      }
      if (k == 0) {
        own_done = done;
        continue;
      }
      if (w.dies_at < done) {
        missed += parts;
        w.ready_at = w.dies_at + s_.absence + s_.update * static_cast<double>(step_);
        w.dies_at = w.ready_at + exponential(s_.lifetime);
        continue;
      }
      losses_bytes = zo::workers::message_format::header_bytes + 16 * parts;
      sum.bytes_in += static_cast<double>(losses_bytes + s_.transport_bytes);
      arrivals.push_back({done + latency(), parts});
      w.ready_at = arrivals.back().at;  // also where that is too late
    }
    now_ = gather(arrivals, own_done, missed);
    sum.missed += static_cast<double>(missed);
    sum.sharing += static_cast<double>(sharing.size()) / static_cast<double>(all_.size());
    if (missed > 0 && !s_.leaves_out) now_ += evaluation(missed);
    tell(sum, losses_bytes);
  }
  /// When all that comes in time has been taken in.
  double gather(std::vector<arrival>& arrivals, double own_done, std::size_t& missed) {
    std::ranges::sort(arrivals, {}, &arrival::at);
    double t = own_done;
    for (const arrival& a : arrivals) {
      if (a.at > own_done + s_.patience) {
        missed += a.parts;
        t = std::max(t, own_done + s_.patience);
      } else {
        t = std::max(t, a.at) + cost_of(zo::workers::message_format::header_bytes + 16 * a.parts);
      }
    }
    return t;
  }
  void tell(workers_outcome& sum, std::size_t losses_bytes) {
    const std::size_t outcome = zo::workers::message_format::header_bytes + 20 + 4 * s_.directions;
    all_[0].starts = now_;
    for (std::size_t i = 1; i != all_.size(); ++i) {
      now_ += cost_of(outcome);
      all_[i].starts = std::max(now_ + latency(), all_[i].ready_at);
      sum.bytes_out += static_cast<double>(outcome + s_.transport_bytes);
    }
    all_[0].starts = now_;
    if (all_.size() > 1) sum.bytes_of_worker += static_cast<double>(outcome + losses_bytes);
  }
  [[nodiscard]] double cost_of(std::size_t bytes) const {
    return std::max(s_.handling, static_cast<double>(bytes + s_.transport_bytes) / s_.bandwidth);
  }

  workers_setting s_;
  std::mt19937_64 random_;
  std::vector<worker> all_;
  std::size_t step_ = 0;
  double now_ = 0;
};

}  // namespace zoqat::bench

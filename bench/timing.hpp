// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "peaks.hpp"

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>

#include <time.h>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Times that can be compared on a machine that others use too: contenders take turns in one process, and what is
// reported is the median of the ratios of neighbors, not the ratio of two medians.

namespace zoqat::bench {

[[nodiscard]] inline double seconds_of(clockid_t clock) noexcept {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
[[nodiscard]] inline double wall_seconds() noexcept { return seconds_of(CLOCK_MONOTONIC); }

/// The middle one; NaN of none.
[[nodiscard]] inline double median(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// Notices when a core is not this program's alone: multiply-adds that take a fixed number of cycles, on every thread
/// of an executor at once.
class canary {
 public:
  /// `pool` has the threads to watch; null watches the calling thread.
  explicit canary(thread_pool* pool = nullptr) noexcept : pool_(pool) {}

  /// Of what is measured beside it: processor time of the one thread, or wall time of several.
  [[nodiscard]] clockid_t clock() const noexcept { return pool_ ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID; }

  /// Whether the multiply-adds take more than a tenth longer than they ever did.
  [[nodiscard]] bool disturbed() {
    constexpr std::size_t iterations = 40'000;  // 0.1 to 0.2 ms
    const double start = wall_seconds();
    if (pool_)
      pool_->parallel_for(pool_->concurrency(), [](std::size_t) { multiply_add::run(iterations); });
    else
      multiply_add::run(iterations);
    const double took = wall_seconds() - start;
    best_ = std::min(best_, took);
    return took > 1.1 * best_;
  }
  /// Loads the threads for `seconds`: a virtual machine may take a second or two to give each a core of its own.
  void settle(double seconds = 2) {
    for (const double end = wall_seconds() + seconds; wall_seconds() < end;) static_cast<void>(disturbed());
  }

 private:
  thread_pool* pool_;
  double best_ = std::numeric_limits<double>::infinity();
};

/// How long to measure.
struct effort {
  double sample = 4e-3;     ///< least seconds of a sample: fast contenders run several times in it
  std::size_t rounds = 25;  ///< in each of which every contender has one sample
  double budget = 8;        ///< seconds after which no round starts, once there are five
};

/// Some ways to do some work, by name, timed in turns.
class contest {
 public:
  /// `work` is what one `run` does, in units that make speeds comparable.
  void add(std::string_view name, double work, std::function<void()> run) {
    contenders_.push_back({std::string(name), work, std::move(run), 1, {}});
  }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::ranges::any_of(contenders_, [&](const contender& c) { return c.name == name; });
  }

  /// Runs them all, in turns and after a round to warm up, and lets them go. Rounds in which the canary sees others
  /// at work are left out while at least five, and half of all, remain.
  void measure(canary& bird, const effort& how) {
    for (contender& c : contenders_) {
      c.run();
      const double once = std::max(sample(c, bird.clock()), 1e-9);
      c.repeats = static_cast<std::size_t>(std::ceil(std::max(how.sample / once, 1.0)));
    }
    std::vector<bool> quiet;
    const double end = wall_seconds() + how.budget;
    for (std::size_t round = 0; round != how.rounds && (round < 5 || wall_seconds() < end); ++round) {
      const bool before = bird.disturbed();
      for (std::size_t turn = 0; turn != contenders_.size(); ++turn) {
        contender& c = contenders_[round % 2 == 0 ? turn : contenders_.size() - 1 - turn];
        c.seconds.push_back(sample(c, bird.clock()));
      }
      quiet.push_back(!bird.disturbed() && !before);
    }
    for (contender& c : contenders_) c.run = nullptr;
    const auto left = static_cast<std::size_t>(std::ranges::count(quiet, true));
    disturbed_ = left < 5 || 2 * left < quiet.size();
    if (disturbed_) return;
    for (contender& c : contenders_)
      for (std::size_t round = quiet.size(); round-- != 0;)
        if (!quiet[round]) c.seconds.erase(c.seconds.begin() + static_cast<std::ptrdiff_t>(round));
  }

  /// Median seconds of one run.
  [[nodiscard]] double seconds(std::string_view name) const { return median(find(name).seconds); }
  /// Work per second.
  [[nodiscard]] double speed(std::string_view name) const { return find(name).work / seconds(name); }
  /// Speed of `a` over that of `b`: the median over the rounds.
  [[nodiscard]] double over(std::string_view a, std::string_view b) const {
    const contender &of_a = find(a), &of_b = find(b);
    std::vector<double> ratios(of_a.seconds.size());
    std::ranges::transform(of_b.seconds, of_a.seconds, ratios.begin(), std::divides{});
    return median(std::move(ratios)) * of_a.work / of_b.work;
  }
  /// Too few rounds were left alone, so that disturbed ones count too.
  [[nodiscard]] bool disturbed() const noexcept { return disturbed_; }

 private:
  struct contender {
    std::string name;
    double work;
    std::function<void()> run;
    std::size_t repeats;
    std::vector<double> seconds;  ///< of one run, in each round
  };
  /// Seconds of one run, by as many as make a sample.
  static double sample(const contender& c, clockid_t clock) {
    const double start = seconds_of(clock);
    for (std::size_t i = 0; i != c.repeats; ++i) c.run();
    return (seconds_of(clock) - start) / static_cast<double>(c.repeats);
  }
  [[nodiscard]] const contender& find(std::string_view name) const {
    const auto found = std::ranges::find(contenders_, name, &contender::name);
    require(found != contenders_.end(), "contest: nobody is called '{}'", name);
    return *found;
  }

  std::vector<contender> contenders_;
  bool disturbed_ = false;
};

}  // namespace zoqat::bench

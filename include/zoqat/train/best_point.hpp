// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/train/keep_best.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

/// Keeps the parameters of the step that scores best on validation data, among `every` steps, the last one and the
/// start: a training does no harm where that data is like what the model is for. Memory: the values of the groups
/// that train, once (where those are the weights, `keep_best` and a run log make do without). A callback of
/// train::run; `groups` are all that the estimator moves, since others stay where the last step left them. For steps
/// that come from a log, it is called as (steps made, steps). Throws value_error for parameters that are stored in
/// fewer than 32 bits.
template <class Store, class Score>
class best_point {
 public:
  /// Scores the start. `score()` is that of the store as it is; more is better.
  best_point(Store& store, const per_group<bool>& groups, std::uint32_t every, Score score)
      : store_(store), groups_(groups), every_(every), best_(every, std::move(score)) {
    observe(0);
  }

  void operator()(std::uint32_t done, std::uint32_t steps) {
    if (is_due(every_, done, steps)) observe(done);
  }
  void after_step(const step_report& report) { (*this)(report.step + 1, report.steps); }
  [[nodiscard]] bool reads_parameters(const step_report& report) const { return best_.reads_parameters(report); }

  /// Puts the best parameters back. Returns after how many steps they were.
  std::uint32_t restore() {
    find_trained();
    auto from = values_.begin();
    for (const std::span<float> values : trained_) {
      std::copy_n(from, values.size(), values.begin());
      from += static_cast<std::ptrdiff_t>(values.size());
    }
    return kept_;
  }
  /// The scores, the first one the start's.
  [[nodiscard]] std::span<const scored_step> scores() const noexcept { return best_.scores(); }

 private:
  /// Takes all memory first: what was best stays whole whatever throws.
  void observe(std::uint32_t done) {
    find_trained();
    const bool first = best_.scores().empty();
    best_.observe(done);
    if (!first && (!best_.best() || best_.best()->steps != done)) return;
    kept_ = done;
    auto to = values_.begin();
    for (const std::span<float> values : trained_) to = std::ranges::copy(values, to).out;
  }
  /// Finds where the values are now, and makes room for a copy of them.
  void find_trained() {
    trained_.clear();
    std::size_t count = 0;
    store_.for_each_parameter([&](const parameter& p) {
      if (!groups_[p.group]) return;
      require(p.compact.size() == 0, "best_point: '{}' is stored in fewer than 32 bits", p.name);
      trained_.push_back(p.values);
      count += p.values.size();
    });
    values_.resize(count);
  }

  Store& store_;
  per_group<bool> groups_;
  std::uint32_t every_, kept_ = 0;
  keep_best<Score> best_;
  std::vector<float> values_;
  std::vector<std::span<float>> trained_;
};

}  // namespace zoqat::train

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
    std::size_t at = 0;
    for_each_trained([&](std::span<float> values) {
      std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(at), values.size(), values.begin());
      at += values.size();
    });
    return kept_;
  }
  /// The scores, the first one the start's.
  [[nodiscard]] std::span<const scored_step> scores() const noexcept { return best_.scores(); }

 private:
  void observe(std::uint32_t done) {
    best_.observe(done);
    if (!values_.empty() && best_.best()->steps != done) return;
    kept_ = done;
    values_.clear();
    for_each_trained([&](std::span<float> values) { values_.insert(values_.end(), values.begin(), values.end()); });
  }
  template <class F>
  void for_each_trained(F&& f) {
    store_.for_each_parameter([&](const parameter& p) {
      if (!groups_[p.group]) return;
      require(p.compact.size() == 0, "best_point: '{}' is stored in fewer than 32 bits", p.name);
      f(p.values);
    });
  }

  Store& store_;
  per_group<bool> groups_;
  std::uint32_t every_, kept_ = 0;
  keep_best<Score> best_;
  std::vector<float> values_;
};

}  // namespace zoqat::train

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/train/callbacks.hpp>
#include <zoqat/train/trainer.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

/// The score of a model after some steps; more is better.
struct scored_step {
  std::uint32_t steps;
  double score;
  friend bool operator==(const scored_step&, const scored_step&) = default;
};

/// Takes `score()` of the model on validation data after every `every` steps and after the last one (never for an
/// `every` of 0), and remembers which was the best: a checkpoint of a number. That model is made again from the base
/// and the run log by `replay_first`, so no copy of the masters is kept.
///
/// A run that goes on from its log finds the scores of the steps before by `replay(…, each)` with
/// `[&](std::uint32_t done) { best(done, steps); }`.
template <class Score>
class keep_best {
 public:
  keep_best(std::uint32_t every, Score score) : every_(every), score_(std::move(score)) {}

  /// Scores the model as it is, if that is due after `done` of `steps` steps.
  void operator()(std::uint32_t done, std::uint32_t steps) {
    if (is_due(every_, done, steps)) observe(done);
  }
  /// Scores the model as it is, after `done` steps: 0 to let the base compete.
  void observe(std::uint32_t done) {
    const scored_step now{done, score_()};
    scores_.push_back(now);
    if (now.score > (best_ ? best_->score : -std::numeric_limits<double>::infinity())) best_ = now;
  }
  void after_step(const step_report& report) { (*this)(report.step + 1, report.steps); }
  [[nodiscard]] bool reads_parameters(const step_report& report) const noexcept {
    return is_due(every_, report.step + 1, report.steps);
  }

  /// The first of the best scores; nothing before there was one above minus infinity.
  [[nodiscard]] const std::optional<scored_step>& best() const noexcept { return best_; }
  /// The same, for those who cannot do without. Throws value_error where there is none.
  [[nodiscard]] const scored_step& require_best() const {
    require(
        best_.has_value(),
        "keep_best: of {} there is none that is a number above minus infinity, so no step is the best: see whether "
        "the model and the validation data are whole, and take smaller rates",
        plural(scores_.size(), "score"));
    return *best_;
  }
  [[nodiscard]] std::span<const scored_step> scores() const noexcept { return scores_; }

 private:
  std::uint32_t every_;
  Score score_;
  std::vector<scored_step> scores_;
  std::optional<scored_step> best_;
};

}  // namespace zoqat::train

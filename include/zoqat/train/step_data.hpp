// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/plural.hpp>
#include <zoqat/random/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

/// Which chunks of a corpus, or items of a task, a step sees: `count` of them, each drawn with equal odds by a
/// generator that the step and the seed alone determine, and that no direction shares. They are drawn with
/// replacement: one may come twice in a step.
[[nodiscard]] inline std::vector<std::uint32_t> draw_chunks(std::size_t corpus, std::size_t count, std::uint64_t seed,
                                                            std::uint32_t step) {
  rng::engine engine({.seed = seed, .step = step, .use = rng::purpose::data});
  std::vector<std::uint32_t> drawn(count);
  for (std::uint32_t& chunk : drawn) chunk = engine.below(static_cast<std::uint32_t>(corpus));
  return drawn;
}

/// The data of a step: a batch that `select` draws, dealt out to micro-batches in turn.
class step_data {
 public:
  /// Draws from `items` things; there must be some. Throws value_error for micro-batches that would be empty.
  step_data(std::size_t items, std::size_t batch, std::size_t micro_batches, std::uint64_t seed)
      : items_(items), batch_(batch), seed_(seed), drawn_(micro_batches) {
    require(micro_batches > 0 && micro_batches <= batch, "objective: a batch of {} cannot fall into {}",
            plural(batch, "item"), plural(micro_batches, "micro-batch"));
  }

  void select(std::uint32_t step) {
    for (auto& micro : drawn_) micro.clear();
    std::size_t i = 0;
    for (const std::uint32_t item : draw_chunks(items_, batch_, seed_, step))
      drawn_[i++ % drawn_.size()].push_back(item);
  }
  [[nodiscard]] std::size_t micro_batches() const noexcept { return drawn_.size(); }
  /// The items of a micro-batch of the step that was selected last. Throws value_error if a step has fewer.
  [[nodiscard]] std::span<const std::uint32_t> of(std::size_t micro) const {
    require(micro < drawn_.size(),
            "objective: micro-batch {} was asked for, but a step has {}; give the estimator as many", micro,
            drawn_.size());
    return drawn_[micro];
  }

 private:
  std::size_t items_, batch_;
  std::uint64_t seed_;
  std::vector<std::vector<std::uint32_t>> drawn_;  // by micro-batch
};

}  // namespace zoqat::train

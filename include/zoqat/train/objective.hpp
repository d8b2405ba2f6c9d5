// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/eval/perplexity.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/simd/inference_lane.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::train {

/// Which chunks of a corpus a step sees: `count` of them, each drawn with equal odds by a generator that the step and
/// the seed alone determine, and that no direction shares.
[[nodiscard]] inline std::vector<std::uint32_t> draw_chunks(std::size_t corpus, std::size_t count, std::uint64_t seed,
                                                            std::uint32_t step) {
  random::engine engine({.seed = seed, .step = step, .use = random::purpose::data});
  std::vector<std::uint32_t> drawn(count);
  for (std::uint32_t& chunk : drawn) chunk = engine.below(static_cast<std::uint32_t>(corpus));
  return drawn;
}

/// What the loss compares with.
enum class target {
  text,     ///< cross-entropy with the next token
  teacher,  ///< KL divergence from the full-precision model
};

/// A language model's loss on a corpus as an objective: every lane of a step goes through one forward pass. A step's
/// `batch` chunks are split into micro-batches; `select(step)` chooses them.
template <class Model, class Teacher, zo::distribution Distribution, executor Executor,
          simd::kernels Kernels = simd::default_kernels>
class language_model_loss {
 public:
  struct options {
    std::size_t batch = 4;          ///< chunks per step
    std::size_t micro_batches = 2;  ///< at most `batch`
    target compared_with = target::teacher;
    std::uint64_t seed = 0;  ///< of the data order
    [[no_unique_address]] Distribution elements{};
  };

  /// Throws value_error for an empty corpus and for micro-batches that would be empty.
  language_model_loss(Model& model, Teacher& teacher, const eval::chunks& corpus, Executor& threads, options how)
      : model_(model), teacher_(teacher), corpus_(corpus), threads_(threads), how_(how), deferred_(how.elements) {
    require(!corpus.empty(), "language_model_loss: the corpus has no chunks");
    require(how.micro_batches > 0 && how.micro_batches <= how.batch,
            "language_model_loss: a batch of {} chunks cannot fall into {} micro-batches", how.batch,
            how.micro_batches);
    select(0);
  }

  [[nodiscard]] std::size_t micro_batches() const noexcept { return how_.micro_batches; }
  /// Tokens that one step runs through each lane.
  [[nodiscard]] std::size_t tokens() const noexcept {
    std::size_t total = 0;
    for (const nn::token_batch& micro : selected_) total += micro.tokens();
    return total;
  }

  /// Draws the data of a step.
  void select(std::uint32_t step) {
    const auto drawn = draw_chunks(corpus_.size(), how_.batch, how_.seed, step);
    selected_.assign(how_.micro_batches, {});
    for (std::size_t i = 0; i != drawn.size(); ++i) selected_[i % how_.micro_batches].add(corpus_[drawn[i]]);
    scores_.assign(how_.micro_batches, {});
  }

  void operator()(std::span<const zo::perturbation> points, std::size_t micro, std::span<double> losses) {
    require(micro < selected_.size(),
            "language_model_loss: micro-batch {} was asked for, but a step has {}; give the estimator as many", micro,
            selected_.size());
    const nn::token_batch& batch = selected_[micro];
    const lanes_type lanes(points, how_.elements, &deferred_);
    const nn::forward_pass<Kernels, lanes_type, Executor> pass{lanes, threads_, batch, work_};
    std::vector<nn::token_loss> of_lane(points.size());
    if (how_.compared_with == target::teacher) nn::distillation(model_, pass, teacher_scores(micro), of_lane);
    else nn::cross_entropy(model_, pass, std::span(of_lane));
    for (std::size_t i = 0; i != losses.size(); ++i) losses[i] = of_lane[i].mean();
  }

  /// Takes over an update of the model: the next pass makes it on its way through the weights.
  template <parameter_store Store>
  void defer(const zo::update& u, Store& parameters) {
    deferred_.defer(u, parameters, threads_);
  }
  /// Finishes it, for whoever looks at the weights in between.
  template <parameter_store Store>
  void flush(Store& parameters) {
    deferred_.flush(parameters, threads_);
  }

 private:
  using deferred_type = zo::deferred_update<Distribution, Kernels>;
  using lanes_type = zo::lanes<Distribution, Kernels, deferred_type>;

  const nn::teacher_scores& teacher_scores(std::size_t micro) {
    if (scores_[micro].probability.empty()) {
      constexpr inference_lane lane;
      const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, threads_, selected_[micro], work_};
      scores_[micro] = nn::score(teacher_, pass);
    }
    return scores_[micro];
  }

  Model& model_;
  Teacher& teacher_;
  const eval::chunks& corpus_;
  Executor& threads_;
  options how_;
  deferred_type deferred_;
  std::vector<nn::token_batch> selected_;
  std::vector<nn::teacher_scores> scores_;
  nn::workspace work_;
};

}  // namespace zoqat::train

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/eval/corpus.hpp>
#include <zoqat/nn/loss.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/train/lane_objective.hpp>
#include <zoqat/train/step_data.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

/// What the loss compares with.
enum class target {
  text,     ///< cross-entropy with the next token
  teacher,  ///< KL divergence from the full-precision model
};

struct language_model_loss_options {
  std::size_t batch = 4;          ///< chunks per step
  std::size_t micro_batches = 2;  ///< at most `batch`
  target compared_with = target::teacher;
  std::uint64_t seed = 0;  ///< of the data order
};

/// A language model's loss on a corpus as an objective: every lane of a step goes through one forward pass. A step's
/// `batch` chunks are split into micro-batches; `select(step)` chooses them.
template <nn::language_model Model, nn::language_model Teacher, executor Executor,
          simd::kernels Kernels = simd::default_kernels>
class language_model_loss : public lane_objective<Executor, Kernels> {
 public:
  /// Throws value_error for an empty corpus and for micro-batches that would be empty.
  language_model_loss(Model& model, Teacher& teacher, const eval::chunks& corpus, Executor& threads,
                      const language_model_loss_options& how)
      : language_model_loss(model, &teacher, corpus, threads, how) {}
  /// Without a teacher. Throws as above, and value_error for a loss that compares with one.
  language_model_loss(Model& model, const eval::chunks& corpus, Executor& threads,
                      const language_model_loss_options& how)
      : language_model_loss(model, nullptr, corpus, threads, how) {}

  [[nodiscard]] std::size_t micro_batches() const noexcept { return data_.micro_batches(); }
  /// Tokens that one step runs through each lane.
  [[nodiscard]] std::size_t tokens() const noexcept {
    std::size_t total = 0;
    for (const nn::token_batch& micro : selected_) total += micro.tokens();
    return total;
  }

  /// Draws the data of a step.
  void select(std::uint32_t step) {
    data_.select(step);
    selected_.assign(micro_batches(), {});
    for (std::size_t micro = 0; micro != micro_batches(); ++micro)
      for (const std::uint32_t chunk : data_.of(micro)) selected_[micro].add(corpus_[chunk]);
    scores_.assign(micro_batches(), {});
  }

  template <zo::distribution Distribution>
  void operator()(const zo::lane_points<Distribution>& at, std::size_t micro, std::span<double> losses) {
    static_cast<void>(data_.of(micro));  // refuses a micro-batch that is not there
    const auto lanes = base::lanes_at(at);
    const nn::forward_pass<Kernels, std::remove_const_t<decltype(lanes)>, Executor> pass{
        lanes, base::threads(), selected_[micro], base::work()};
    std::vector<nn::token_loss> of_lane(at.size());
    if (target_ == target::teacher)
      nn::distillation(model_, pass, teacher_scores(micro), of_lane);
    else
      nn::cross_entropy(model_, pass, std::span(of_lane));
    for (std::size_t i = 0; i != losses.size(); ++i) losses[i] = of_lane[i].mean();
  }

 private:
  using base = lane_objective<Executor, Kernels>;

  language_model_loss(Model& model, Teacher* teacher, const eval::chunks& corpus, Executor& threads,
                      const language_model_loss_options& how)
      : base(threads),
        model_(model),
        teacher_(teacher),
        corpus_(corpus),
        target_(how.compared_with),
        data_(corpus.size(), how.batch, how.micro_batches, how.seed) {
    require(!corpus.empty(), "language_model_loss: the corpus has no chunks");
    require(teacher || target_ == target::text, "language_model_loss: a teacher to compare with is wanted");
    select(0);
  }

  const nn::teacher_scores& teacher_scores(std::size_t micro) {
    if (scores_[micro].probability.empty()) {
      constexpr inference_lane lane;
      const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, base::threads(), selected_[micro],
                                                                     base::work()};
      scores_[micro] = nn::teacher_probabilities(*teacher_, pass);
    }
    return scores_[micro];
  }

  Model& model_;
  Teacher* teacher_;  // null: there is none
  const eval::chunks& corpus_;
  target target_;
  step_data data_;
  std::vector<nn::token_batch> selected_;
  std::vector<nn::teacher_scores> scores_;
};

/// The objective of distillation: the KL divergence from `teacher`, usually the model in full precision. The model,
/// the teacher and the corpus must outlive it.
template <nn::language_model Model, nn::language_model Teacher, executor Executor>
[[nodiscard]] auto distillation(Model& model, Teacher& teacher, const eval::chunks& corpus, Executor& threads,
                                language_model_loss_options how = {}) {
  how.compared_with = target::teacher;
  return language_model_loss<Model, Teacher, Executor>(model, teacher, corpus, threads, how);
}

/// The objective of training on a text: the cross-entropy with the next token.
template <nn::language_model Model, executor Executor>
[[nodiscard]] auto cross_entropy(Model& model, const eval::chunks& corpus, Executor& threads,
                                 language_model_loss_options how = {}) {
  how.compared_with = target::text;
  return language_model_loss<Model, Model, Executor>(model, corpus, threads, how);
}

}  // namespace zoqat::train

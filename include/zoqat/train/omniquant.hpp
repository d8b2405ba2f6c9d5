// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/input_stream.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/train/lane_objective.hpp>
#include <zoqat/train/step_data.hpp>
#include <zoqat/zo/difference.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/estimator.hpp>
#include <zoqat/zo/optimizers/parabolic.hpp>
#include <zoqat/zo/scales/balance.hpp>
#include <zoqat/zo/step.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::train {

struct omniquant_options {
  std::uint32_t steps = 100;             ///< of each block
  std::uint32_t micro_batches = 2;       ///< batches of the corpus in a step
  double relative_loss_increase = 0.05;  ///< see zo::balance_options
  std::uint64_t seed = 0;
};

/// What fitting a block did to its loss, the mean over the corpus.
struct block_fit {
  double before = 0, after = 0;
};

namespace detail {

/// What OmniQuant learns of a block: the smoothing of its inputs and the clipping of its weights.
template <class Block>
struct learnable_transforms {
  Block& block;

  template <class F>
  void for_each_parameter(F&& f) {
    nn::for_each_trainable(block, [&](nn::trainable& t) {
      const parameter p = t.view();
      if (!t.frozen() && (p.group == parameter_group::smoothing || p.group == parameter_group::clipping)) f(p);
    });
  }
  [[nodiscard]] std::vector<float> values() {
    std::vector<float> all;
    for_each_parameter([&](const parameter& p) { all.insert(all.end(), p.values.begin(), p.values.end()); });
    return all;
  }
  void set(std::span<const float> all) {
    for_each_parameter([&](const parameter& p) {
      std::ranges::copy(all.first(p.values.size()), p.values.begin());
      all = all.subspan(p.values.size());
    });
  }
};

/// Squared error of what a block writes, relative to the square of what it should: ‖B̂(x̂) − B(x)‖² / ‖B(x) − x‖²,
/// where x̂ is the stream that the quantized blocks before it leave. An objective of zeroth-order steps.
template <class Block, executor Executor, simd::kernels Kernels>
class block_loss : public lane_objective<Executor, Kernels> {
  using base = lane_objective<Executor, Kernels>;

 public:
  block_loss(Block& block, std::span<const nn::token_batch> corpus, std::vector<matrix<float>> inputs,
             std::vector<matrix<float>> wanted, double size, const omniquant_options& options, Executor& threads)
      : base(threads),
        block_(block),
        corpus_(corpus),
        inputs_(std::move(inputs)),
        wanted_(std::move(wanted)),
        size_(size),
        options_(options) {
    select(0);
  }

  void select(std::uint32_t step) {
    chosen_ = draw_chunks(corpus_.size(), options_.micro_batches, options_.seed, step);
  }
  template <zo::distribution Distribution>
  void operator()(const zo::lane_points<Distribution>& at, std::size_t micro, std::span<double> losses) {
    const auto lanes = base::lanes_at(at);
    of_batch(lanes, chosen_[micro], losses);
  }
  /// The mean over the whole corpus, at the masters.
  [[nodiscard]] double whole() {
    double sum = 0;
    for (std::size_t i = 0; i != corpus_.size(); ++i) {
      double loss = 0;
      of_batch(inference_lane{}, i, {&loss, 1});
      sum += loss / static_cast<double>(corpus_.size());
    }
    return sum;
  }

 private:
  template <class Lanes>
  void of_batch(const Lanes& lanes, std::size_t i, std::span<double> losses) {
    const matrix<float>&from = inputs_[i], &to = wanted_[i];
    matrix<float>& stream = base::work().stream;
    stream.reshape(lanes.count() * from.rows(), from.cols());
    for (std::size_t lane = 0; lane != lanes.count(); ++lane)
      std::ranges::copy(from.flat(), stream.data() + lane * from.size());
    block_.forward(nn::forward_pass<Kernels, Lanes, Executor>{lanes, base::threads(), corpus_[i], base::work()}, 0,
                   stream);
    for (std::size_t lane = 0; lane != lanes.count(); ++lane) {
      double sum = 0;
      for (std::size_t k = 0; k != to.size(); ++k) {
        const double d = double{stream.data()[lane * to.size() + k]} - double{to.flat()[k]};
        sum += d * d;
      }
      losses[lane] = sum / (size_ * static_cast<double>(to.size()));
    }
  }

  Block& block_;
  std::span<const nn::token_batch> corpus_;
  std::vector<matrix<float>> inputs_, wanted_;
  double size_;
  omniquant_options options_;
  std::vector<std::uint32_t> chosen_;
};

/// The same with what it needs from the two streams before a block; what the teacher's traces leave is in `ideal`.
template <simd::kernels Kernels, class Model, class Teacher, executor Executor>
[[nodiscard]] auto loss_of_block(ptq::input_stream<Model, Executor, Kernels>& own,
                                 const ptq::input_stream<Teacher, Executor, Kernels>& teacher,
                                 std::span<const ptq::detail::block_trace> ideal, const omniquant_options& options,
                                 Executor& threads) {
  std::vector<matrix<float>> inputs, wanted;
  double squares = 0, count = 0;
  for (std::size_t i = 0; i != ideal.size(); ++i) {
    inputs.push_back(own.stream(i));
    wanted.push_back(ideal[i].streams.back());
    for (std::size_t k = 0; k != wanted[i].size(); ++k) {
      const double d = double{wanted[i].flat()[k]} - double{teacher.stream(i).flat()[k]};
      squares += d * d;
    }
    count += static_cast<double>(wanted[i].size());
  }
  require(squares > 0, "omniquant: a block of the teacher writes nothing to the stream");
  return block_loss<typename Model::block_type, Executor, Kernels>(
      own.block(), own.corpus(), std::move(inputs), std::move(wanted), squares / count, options, threads);
}

/// Zeroth-order steps on the loss of block `index`. The whole corpus is looked at after every eighth of them, rounded
/// down, and after the last: the best of these points stays, or the start.
template <class Parameters, class Loss, executor Executor>
[[nodiscard]] block_fit fit_block(Parameters parameters, Loss& loss, std::size_t index,
                                  const omniquant_options& options, Executor& threads) {
  constexpr std::uint32_t looks = 8;
  block_fit fit{.before = loss.whole()};
  fit.after = fit.before;
  if (options.steps == 0) return fit;
  std::vector<float> best = parameters.values();
  per_group<bool> groups;
  groups.smoothing = groups.clipping = true;
  const zo::balance_options how{
      .relative_loss_increase = options.relative_loss_increase, .groups = groups, .seed = ~options.seed};
  const auto scales = zo::balance(parameters, loss, zo::rademacher{}, how);
  const zo::estimator<zo::central, zo::rademacher> estimator{
      .epsilon = scales.epsilon, .micro_batches = options.micro_batches, .seed = options.seed + index};
  zo::parabolic<> optimizer{.scales = scales, .schedule = zo::linear_decay{options.steps}};
  for (std::uint32_t t = 0; t != options.steps; ++t) {
    zo::step(parameters, loss, estimator, optimizer, t, threads);
    if ((t + 1) % std::max(1u, options.steps / looks) != 0 && t + 1 != options.steps) continue;
    const double now = loss.whole();
    if (now < fit.after) fit.after = now, best = parameters.values();
  }
  parameters.set(best);
  return fit;
}

}  // namespace detail

/// OmniQuant's learnable clipping and equivalent transformation (arXiv 2308.13137) fitted by forward passes alone,
/// which is not how OmniQuant fits them: block by block, zeroth-order steps on the smoothing of inputs (s, and δ
/// where the scheme shifts) and the clipping of weights bring what the block writes to what the teacher's writes, in
/// place of AdamW on gradients through straight-through rounding. The best of some looks at the whole corpus stays,
/// and a block that never came nearer stays where it began. Start the model with ptq::smoothquant, and
/// ptq::clip_search if you like; the masters stay.
///
/// `teacher` is the same model in full precision; `corpus` holds at least one batch. `after_block(block, blocks,
/// block_fit)` is called after each. Throws as ptq::require_can_initialize does, and value_error for a corpus without
/// a batch. Cost for each block: (2 · micro_batches · steps) of its passes over a batch, those of zo::balance, and 11
/// over the corpus (up to 17 where `steps` is no multiple of 8), beside one of the teacher's. Memory: three times the
/// stream of the whole corpus, and what all linear layers of one of the teacher's blocks read of it.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, nn::model Teacher, executor Executor,
          class AfterBlock>
void omniquant(Model& model, Teacher& teacher, std::span<const nn::token_batch> corpus, Executor& threads,
               const omniquant_options& options, AfterBlock&& after_block) {
  static_assert(Model::scheme::quantizes_weights && Model::scheme::weight_type::clipping::parameters > 0,
                "train::omniquant: there is no clipping to learn: give quant::weight the clipping policy "
                "quant::clip::codes or quant::clip::range");
  ptq::require_can_initialize(model, "omniquant");
  require(!corpus.empty() && options.micro_batches > 0, "omniquant: {} batches in a step, of a corpus of {}",
          options.micro_batches, corpus.size());
  ptq::input_stream<Model, Executor, Kernels> own(model, corpus, threads);
  ptq::input_stream<Teacher, Executor, Kernels> expected(teacher, corpus, threads);
  for (std::size_t b = 0; b != model.blocks().size(); ++b) {
    std::vector<ptq::detail::block_trace> ideal;
    for (std::size_t i = 0; i != corpus.size(); ++i) ideal.push_back(expected.trace(i));
    auto loss = detail::loss_of_block<Kernels>(own, expected, ideal, options, threads);
    const block_fit fit = detail::fit_block(detail::learnable_transforms<typename Model::block_type>{own.block()},
                                            loss, b, options, threads);
    own.advance();
    expected.advance(ideal);
    after_block(b, model.blocks().size(), fit);
  }
}

}  // namespace zoqat::train

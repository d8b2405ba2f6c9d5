// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/clip_search.hpp>
#include <zoqat/ptq/gptq.hpp>
#include <zoqat/ptq/outlier_suppression.hpp>
#include <zoqat/ptq/reconstruct.hpp>
#include <zoqat/ptq/reorder.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/ptq/smoothquant.hpp>
#include <zoqat/ptq/stage.hpp>
#include <zoqat/ptq/weight_units.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::ptq {

struct prepare_options {
  stage depth = stage::codes;
  float smoothing_alpha = 0.5f;     ///< SmoothQuant's exponent: how much of the range of inputs weights take over
  std::optional<double> damping{};  ///< of reconstruction, see reconstruction_options
  output_metric_options outputs{};  ///< likewise
  clip_metric clipping = clip_metric::inputs;  ///< of stage::clip
  gptq_options feedback{};                     ///< of stage::gptq
  outlier_suppression_options thresholds{};    ///< of stage::outlier_suppression
  /// Whether ε of weights counts in step sizes from then on (see set_weight_units), or in the weights' own values.
  bool weight_units = true;
  /// Called before each block that is fitted.
  std::function<void(std::size_t block, std::size_t blocks)> progress{};
  /// Called after each stage, before the weights get their units: a program may evaluate the model here.
  std::function<void(stage)> after_stage{};
};

/// Throws value_error where a stage does not fit a scheme, with what to take in its place.
template <class Scheme>
void require_stage_fits(stage depth) {
  const std::string_view name = stage_names[static_cast<std::size_t>(depth)];
  require(!chooses_grids(depth) || holds_grids<Scheme>,
          "ptq::prepare: stage '{}' chooses grids one by one, which needs quant::clip::codes and a granularity other "
          "than per_tensor; end with stage 'smoothquant' or take another scheme",
          name);
  require(depth != stage::outlier_suppression || Scheme::smooths_inputs,
          "ptq::prepare: stage '{}' shifts and scales inputs that are quantized token by token, and this scheme has "
          "none; take stage 'rtn', 'clip' or 'gptq', or another scheme",
          name);
  require(depth != stage::rptq || reorderable<Scheme>,
          "ptq::prepare: stage '{}' brings channels with like ranges into one group, and this scheme quantizes no "
          "inputs in groups smaller than a token; take stage 'smoothquant', or another scheme",
          name);
}

namespace detail {
/// Throws value_error for options that the stage would not look at.
inline void require_looked_at(const prepare_options& options) {
  const stage depth = options.depth;
  const std::string_view name = stage_names[static_cast<std::size_t>(depth)];
  require(!options.damping || depth == stage::ranges || depth == stage::codes,
          "ptq::prepare: a damping of {} is given, but stage '{}' does not reconstruct; leave it out, or end with "
          "stage 'ranges' or 'codes' (gptq takes `feedback.damping`)",
          options.damping.value_or(0), name);
  require(
      options.outputs.given.empty() || depth == stage::codes,
      "ptq::prepare: output metrics are given, but stage '{}' rounds no rows together; leave them out, or end with "
      "stage 'codes'",
      name);
}
}  // namespace detail

/// Takes a quantized model from its teacher's weights to where training begins. This is the whole recipe: round to
/// nearest, SmoothQuant if the scheme smooths its inputs, reconstruction, and the units of the weights.
///
/// `model` holds the weights of `teacher`, which is the same model in full precision; `calibration` is a sample of
/// the text to train on. Stages that end with `ranges` or `codes` go through `rtn` and `smoothquant`, all others
/// through `rtn` alone. Throws value_error as `require_can_initialize` and `require_stage_fits` do, for a damping or
/// output metrics that the stage has no use for, for a text without a token where one is needed, and where the
/// moments of the inputs are singular or not finite. Costs what the stages do.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, nn::model Teacher, executor Executor>
void prepare(Model& model, Teacher& teacher, std::span<const nn::token_batch> calibration, Executor& threads,
             const prepare_options& options = {}) {
  using scheme = typename Model::scheme;
  const stage depth = options.depth;
  require_stage_fits<scheme>(depth);
  detail::require_looked_at(options);
  const auto report = [&](stage done) {
    if (options.after_stage) options.after_stage(done);
  };
  const auto progress = [&](std::size_t block, std::size_t blocks) {
    if (options.progress) options.progress(block, blocks);
  };
  round_to_nearest(model);
  report(stage::rtn);
  if (depth == stage::smoothquant || depth == stage::ranges || depth == stage::codes) {
    smoothquant<Kernels>(model, teacher, calibration, options.smoothing_alpha, threads);
    report(stage::smoothquant);
  }
  if constexpr (holds_grids<scheme>) {
    if (depth == stage::ranges || depth == stage::codes) {
      const auto how = depth == stage::ranges ? reconstruction::ranges : reconstruction::codes;
      reconstructor<Model, Teacher, Executor, Kernels>(
          model, teacher, threads, {how, options.damping, options.outputs})(calibration, progress);
    }
    if (depth == stage::clip) clip_search<Kernels>(model, calibration, options.clipping, threads, progress);
    if (depth == stage::gptq) gptq<Kernels>(model, calibration, threads, options.feedback, progress);
  }
  if constexpr (scheme::smooths_inputs)
    if (depth == stage::outlier_suppression)
      outlier_suppression<Kernels>(model, teacher, calibration, threads, options.thresholds, progress);
  if constexpr (reorderable<scheme>)
    if (depth == stage::rptq) {
      reorder_by_ranges<Kernels>(model, teacher, calibration, threads);
      round_to_nearest(model);
    }
  if (depth != stage::rtn && depth != stage::smoothquant) report(depth);
  if (options.weight_units) set_weight_units(model);
}

/// The same as far as `stage::rtn`, which needs neither a teacher nor a text. A model in full precision stays as it
/// is.
template <nn::model Model>
void prepare(Model& model) {
  round_to_nearest(model);
  set_weight_units(model);
}

}  // namespace zoqat::ptq

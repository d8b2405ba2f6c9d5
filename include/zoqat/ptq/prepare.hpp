// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/ptq/reconstruct.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/ptq/smoothquant.hpp>
#include <zoqat/ptq/weight_units.hpp>
#include <zoqat/quant/clipping.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// How far `prepare` goes: each stage continues from the one before it.
enum class stage {
  rtn,          ///< grids from the ranges of the weights, round-to-nearest
  smoothquant,  ///< smoothing from the ranges of inputs and weights, where the scheme smooths its inputs
  ranges,       ///< clipping ranges by reconstruction; the weights stay
  codes,        ///< ranges, codes and step sizes by reconstruction
};
/// The names of the stages, in their order.
inline constexpr std::array<std::string_view, 4> stage_names{"rtn", "smoothquant", "ranges", "codes"};

/// Whether a scheme's grids can be chosen one by one, as `stage::ranges` and `stage::codes` need.
template <class Scheme>
inline constexpr bool holds_grids = false;
template <class Scheme>
  requires Scheme::quantizes_weights
inline constexpr bool holds_grids<Scheme> =
    std::same_as<typename Scheme::weight_type::clipping, quant::clip::codes> && !Scheme::weight_type::whole_tensor;

struct prepare_options {
  stage depth = stage::codes;
  float smoothing_alpha = 0.5f;     ///< SmoothQuant's exponent: how much of the range of inputs weights take over
  std::optional<double> damping{};  ///< of reconstruction, see reconstruction_options
  output_metric_options outputs{};  ///< likewise
  /// Whether ε of weights counts in step sizes from then on (see set_weight_units), or in the weights' own values.
  bool weight_units = true;
  /// Called before each block that is reconstructed.
  std::function<void(std::size_t block, std::size_t blocks)> progress{};
  /// Called after each stage, before the weights get their units: a program may evaluate the model here.
  std::function<void(stage)> after_stage{};
};

/// Takes a quantized model from its teacher's weights to where training begins. This is the whole recipe: round to
/// nearest, SmoothQuant if the scheme smooths its inputs, reconstruction, and the units of the weights.
///
/// `model` holds the weights of `teacher`, which is the same model in full precision; `calibration` is a sample of
/// the text to train on. The stages are those up to `options.depth`; of `ranges` and `codes` one alone runs. Throws
/// value_error as `require_can_initialize` does, for a scheme whose grids cannot be chosen where reconstruction is
/// asked for, and where the moments of the inputs are singular. Costs what `smoothquant` and `reconstructor` do.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, nn::model Teacher, executor Executor>
void prepare(Model& model, Teacher& teacher, std::span<const nn::token_batch> calibration, Executor& threads,
             const prepare_options& options = {}) {
  using scheme = typename Model::scheme;
  require(options.depth < stage::ranges || holds_grids<scheme>,
          "ptq::prepare: stage '{}' chooses grids one by one, which needs quant::clip::codes and a granularity other "
          "than per_tensor; end with stage 'smoothquant' or take another scheme",
          stage_names[static_cast<std::size_t>(options.depth)]);
  const auto report = [&](stage done) {
    if (options.after_stage) options.after_stage(done);
  };
  round_to_nearest(model);
  report(stage::rtn);
  if (options.depth >= stage::smoothquant) {
    smoothquant<Kernels>(model, teacher, calibration, options.smoothing_alpha, threads);
    report(stage::smoothquant);
  }
  if constexpr (holds_grids<scheme>) {
    if (options.depth >= stage::ranges) {
      const auto depth = options.depth == stage::ranges ? reconstruction::ranges : reconstruction::codes;
      reconstructor<Model, Teacher, Executor, Kernels> reconstruct(model, teacher, threads,
                                                                   {depth, options.damping, options.outputs});
      reconstruct(calibration, [&](std::size_t block, std::size_t blocks) {
        if (options.progress) options.progress(block, blocks);
      });
      report(options.depth);
    }
  }
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

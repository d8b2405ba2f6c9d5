// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/smoothing.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/channel_ranges.hpp>
#include <zoqat/ptq/input_stream.hpp>
#include <zoqat/ptq/shifting.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

struct outlier_suppression_options {
  std::size_t candidates = 100;  ///< thresholds that are tried for each input
  std::size_t tokens = 1024;     ///< of the calibration text, at most, whose outputs are compared
};

/// Outlier Suppression+'s scale for a threshold t > 0 (arXiv 2304.09145): s_j = max(1, max|X_j − δ_j| / t) brings
/// what reaches beyond ±t back to it, and leaves all other channels alone. Channels that share a value share their
/// range. `ranges` are those of the inputs before the shift.
inline void init_threshold(nn::smoothing& smooth, std::span<const channel_range> ranges, float threshold) {
  require(threshold > 0, "outlier_suppression: a threshold of {} leaves nothing of an input", threshold);
  matrix<float> shifts;
  smooth.shifts(inference_lane{}, shifts);
  const auto log_scale = smooth.log_scale().values().flat();
  std::ranges::fill(log_scale, 0.0f);
  for (std::size_t j = 0; j != smooth.width(); ++j) {
    const float beyond = ranges[j].reach(shifts.empty() ? 0.0f : shifts(0, j)) / threshold;
    float& s = log_scale[smooth.source(j)];
    s = std::max(s, std::log(std::max(1.0f, beyond)));
  }
}

namespace detail {

/// What the layers that read one input make of it: [layers][tokens, out]. The layers are of one scheme.
template <simd::kernels Kernels, class Layers, executor Executor>
[[nodiscard]] std::vector<matrix<float>> outputs_of(const Layers& layers, matrix_view<const float> x,
                                                    const nn::smoothing& smoothing, Executor& threads) {
  nn::token_batch batch;  // as many tokens as there are rows; nothing else of it is looked at
  batch.add(std::vector<nn::token>(x.rows()));
  nn::workspace work;
  constexpr inference_lane lane;
  const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, threads, batch, work};
  using scheme = typename std::remove_cvref_t<decltype(*layers[0])>::scheme;
  const nn::linear_input<scheme> input(pass, x, smoothing);
  std::vector<matrix<float>> outputs;
  for (const auto* layer : layers) {
    outputs.emplace_back(x.rows(), layer->out_features());
    layer->forward(pass, input, outputs.back(), false);
  }
  return outputs;
}

[[nodiscard]] inline double squared_difference(const std::vector<matrix<float>>& a,
                                               const std::vector<matrix<float>>& b) {
  double sum = 0;
  for (std::size_t m = 0; m != a.size(); ++m)
    for (std::size_t i = 0; i != a[m].size(); ++i) {
      const double d = double{a[m].flat()[i]} - double{b[m].flat()[i]};
      sum += d * d;
    }
  return sum;
}

/// One input of some passes: its first rows, and the ranges of all.
struct seen_input {
  matrix<float> rows;                 ///< [tokens, in]
  std::vector<channel_range> ranges;  ///< [in]

  seen_input(std::span<const block_trace> traces, std::size_t index, std::size_t tokens)
      : ranges(traces[0].inputs[index].cols()) {
    std::size_t all = 0, copied = 0;
    for (const block_trace& trace : traces) all += trace.inputs[index].rows();
    rows = matrix<float>(std::min(all, tokens), ranges.size());
    for (const block_trace& trace : traces)
      for (std::size_t r = 0; r != trace.inputs[index].rows(); ++r) {
        const auto row = trace.inputs[index].row(r);
        for (std::size_t j = 0; j != row.size(); ++j) ranges[j].add({row[j], row[j]});
        if (copied != rows.rows()) std::ranges::copy(row, rows.row(copied++).begin());
      }
  }
};

}  // namespace detail

/// The threshold of one shared input whose quantized layers come nearest to what the `ideal` ones make of the same
/// rows, among `candidates` equally far apart up to the greatest reach of a channel; smoothing and grids are left as
/// it wants them. Cost: `candidates` times the input's linear layers over `rows`, with the quantization of their
/// weights.
template <simd::kernels Kernels, class Input, class Layers, executor Executor>
void search_threshold(const Input& input, const Layers& ideal, matrix_view<const float> rows,
                      std::span<const channel_range> ranges, std::size_t candidates, Executor& threads) {
  const auto wanted = detail::outputs_of<Kernels>(ideal, rows, nn::smoothing{}, threads);
  matrix<float> shifts;
  input.smoothing->shifts(inference_lane{}, shifts);
  float greatest = 0;
  for (std::size_t j = 0; j != ranges.size(); ++j)
    greatest = std::max(greatest, ranges[j].reach(shifts.empty() ? 0.0f : shifts(0, j)));
  if (!(greatest > 0)) return;  // nothing but zeros came in: any scale will do
  const auto take = [&](std::size_t candidate) {
    init_threshold(*input.smoothing, ranges,
                   greatest * (1 - static_cast<float>(candidate) / static_cast<float>(candidates)));
    for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
  };
  double least = std::numeric_limits<double>::infinity();
  std::size_t best = 0;
  for (std::size_t candidate = 0; candidate != candidates; ++candidate) {
    take(candidate);
    const double error = detail::squared_difference(
        detail::outputs_of<Kernels>(input.layers, rows, *input.smoothing, threads), wanted);
    if (error < least) least = error, best = candidate;
  }
  take(best);
}

/// Starts a whole model as Outlier Suppression+ does (arXiv 2304.09145), block by block: the shift of each input that
/// has one puts zero in the middle of its channels' ranges (`init_shift`), and where a norm feeds linear layers, each
/// channel's scale is found by `search_threshold`, on the teacher's own inputs. The released code compares what
/// attention makes of the queries, keys and values; here the layers' own outputs are compared. A scheme without
/// quant::shift has the scales alone. Throws as `require_can_initialize` does, and value_error for a corpus without a
/// token and for no candidates. `progress(block, blocks)` is called before each block. Cost: one pass of the teacher
/// over `corpus`, and what `search_threshold` takes for each input.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, nn::model Teacher, executor Executor,
          class Progress>
void outlier_suppression(Model& model, Teacher& teacher, std::span<const nn::token_batch> corpus, Executor& threads,
                         const outlier_suppression_options& options, Progress&& progress) {
  static_assert(Model::scheme::smooths_inputs,
                "ptq::outlier_suppression: the scheme does not scale its inputs: give quant::scheme a "
                "quant::activation per token, or take gptq or clip_search");
  require_can_initialize(model, "outlier_suppression");
  require(options.candidates > 0 && options.tokens > 0 && !corpus.empty(),
          "outlier_suppression: {} candidates are compared on {} tokens of {} batches; each must be at least 1",
          options.candidates, options.tokens, corpus.size());
  using ideal_layer = typename Teacher::block_type::linear_type;
  input_stream<Teacher, Executor, Kernels> stream(teacher, corpus, threads);
  for (std::size_t b = 0; b != model.blocks().size(); ++b) {
    progress(b, model.blocks().size());
    std::vector<detail::block_trace> traces;
    for (std::size_t i = 0; i != corpus.size(); ++i) traces.push_back(stream.trace(i));
    std::vector<std::vector<ideal_layer*>> ideal;
    stream.block().for_each_residual([&](auto& r) {
      r.layer().for_each_shared_input(
          [&](auto&& input) { ideal.emplace_back(input.layers.begin(), input.layers.end()); });
    });
    std::size_t index = 0;
    model.blocks()[b].for_each_residual([&](auto& r) {
      r.layer().for_each_shared_input([&](auto&& input) {
        const detail::seen_input seen(traces, index, options.tokens);
        if (input.smoothing->shifts()) init_shift(*input.smoothing, seen.ranges);
        if (input.smoothing->active() && !input.writes_stream)
          search_threshold<Kernels>(input, ideal[index], seen.rows, seen.ranges, options.candidates, threads);
        else
          for (auto* layer : input.layers) layer->init_clipping(*input.smoothing);
        ++index;
      });
    });
    stream.advance(traces);
  }
}

}  // namespace zoqat::ptq

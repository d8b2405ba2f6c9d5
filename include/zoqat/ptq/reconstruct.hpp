// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/shared_input.hpp>
#include <zoqat/ptq/block_trace.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/input_stream.hpp>
#include <zoqat/ptq/matrix_rounding.hpp>
#include <zoqat/ptq/moments.hpp>
#include <zoqat/ptq/output_metric.hpp>
#include <zoqat/ptq/rounded_row.hpp>
#include <zoqat/ptq/row_rounding.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// How far `reconstruct` goes.
enum class reconstruction {
  ranges,  ///< clipping ranges only; the masters stay (what OmniQuant's LWC learns)
  codes,   ///< ranges, codes and step sizes
};

struct reconstruction_options {
  reconstruction depth = reconstruction::codes;
  std::optional<double> damping{};  ///< of the input moments, relative to their mean; else ptq::default_damping
  output_metric_options outputs{};  ///< how the rows of a matrix are rounded together
};

/// The start of quantization-aware training (section 5.1: initialization by reconstruction loss), with forward passes
/// alone. Goes through the blocks in order and through the inputs of each. The moments of an input come from the
/// model with everything before it quantized; each row of its layers is then found by `row_rounding`, and the next
/// input sees the result.
///
/// With activations quantized token by token a layer keeps its own output. Without, or in groups of 8 bits, it also
/// makes up for what was lost before it: its target is the teacher's output, or, for a layer that writes the residual
/// stream, what brings the stream to the teacher's, and the weights that reach it best in least squares are what is
/// rounded. (Noise in the inputs shrinks such a solution, so under activations that are quantized coarsely it would
/// do harm.)
///
/// `teacher` is the same model in full precision; `model` holds its weights and the smoothing to be used. The masters
/// become the centers of their cells. Throws value_error where the moments are singular, for inputs that are not
/// finite and for a corpus without a token. Cost: one pass of the
/// teacher over `corpus`, one of the model for each input of a block and one more, and the rounding; in memory, the
/// inputs of one block over the whole corpus.
template <nn::model Model, nn::model Teacher, executor Executor, simd::kernels Kernels = simd::default_kernels>
class reconstructor {
 public:
  using scheme = typename Model::scheme;
  static_assert(scheme::quantizes_weights,
                "ptq::reconstructor: a model in full precision has nothing to reconstruct");
  using weight_part = typename scheme::weight_type;
  static_assert(
      std::same_as<typename weight_part::clipping, quant::clip::codes> && !weight_part::whole_tensor,
      "ptq::reconstructor: the grids it finds need a place of their own: give quant::weight the clipping policy "
      "quant::clip::codes, and a granularity other than per_tensor");

  reconstructor(Model& model, Teacher& teacher, Executor& threads, reconstruction_options options = {})
      : model_(model), teacher_(teacher), threads_(threads), options_(options) {
    require_can_initialize(model, "reconstructor");
  }

  /// `progress(block, blocks)` is called before each block.
  template <class Progress>
  void operator()(std::span<const nn::token_batch> corpus, Progress&& progress) {
    output_metric_options outputs_of = options_.outputs;
    outputs_of.used &= options_.depth == reconstruction::codes;  // ranges are found for each row alone
    output_metrics<Teacher, Executor, Kernels> metrics(teacher_, corpus, threads_, outputs_of);
    input_stream<Teacher, Executor, Kernels> expected(teacher_, corpus, threads_);
    input_stream<Model, Executor, Kernels> stream(model_, corpus, threads_);
    for (std::size_t b = 0; b != model_.blocks().size(); ++b) {
      progress(b, model_.blocks().size());
      std::vector<detail::block_trace> ideal;
      for (std::size_t i = 0; i != corpus.size(); ++i) ideal.push_back(expected.trace(i));
      const std::vector<nn::output_metric> outputs = metrics.next();
      std::size_t index = 0, layer = 0;
      stream.block().for_each_residual([&](auto& r) {
        r.layer().for_each_shared_input([&](auto&& input) {
          fit(input, index++, std::span(outputs).subspan(layer, input.layers.size()), stream, ideal);
          layer += input.layers.size();
        });
      });
      stream.advance();
      expected.advance(ideal);
    }
  }

 private:
  using own_stream = input_stream<Model, Executor, Kernels>;

  /// Moments of an input: its own, and of its target with it.
  struct layer_moments {
    matrix<double> input;   ///< E[x xᵀ]: [in, in], x the smoothed input of the quantized model
    matrix<double> target;  ///< E[y xᵀ]: [outputs or inputs, in]; empty where the layer keeps its own output
  };

  template <class Input>
  void fit(const Input& input, std::size_t index, std::span<const nn::output_metric> outputs, own_stream& stream,
           const std::vector<detail::block_trace>& ideal) {
    const layer_moments moments = gather(input, index, stream, ideal);
    const input_metric metric(moments.input, options_.damping.value_or(default_damping<weight_part>));
    for (std::size_t i = 0; i != input.layers.size(); ++i)
      fit_layer(*input.layers[i], *input.smoothing, metric, outputs[i], moments, input.writes_stream);
  }

  template <class Input>
  layer_moments gather(const Input& input, std::size_t index, own_stream& stream,
                       const std::vector<detail::block_trace>& ideal) {
    const std::size_t in = input.layers[0]->in_features(), out = input.layers[0]->out_features();
    layer_moments m{matrix<double>(in, in, 0.0), {}};
    if constexpr (!scheme::smooths_inputs) m.target = matrix<double>(input.writes_stream ? out : in, in, 0.0);
    double rows = 0;
    for (std::size_t i = 0; i != ideal.size(); ++i) {
      const auto trace = stream.trace(i);
      const matrix<float> x = stream.effective_input(trace.inputs[index], i, *input.smoothing);
      rows += static_cast<double>(x.rows());
      add_moments<Kernels>(x, x, m.input, threads_);
      if (m.target.empty()) continue;
      if (!input.writes_stream) {
        add_moments<Kernels>(ideal[i].inputs[index], x, m.target, threads_);
        continue;
      }
      matrix<float> missing = ideal[i].streams[index + 1];
      for (std::size_t k = 0; k != missing.size(); ++k) missing.flat()[k] -= trace.streams[index].flat()[k];
      add_moments<Kernels>(missing, x, m.target, threads_);
    }
    detail::average_moments(m.input, rows, *input.layers[0]);
    for (double& v : m.target.flat()) v /= rows;
    return m;
  }

  template <class Linear>
  void fit_layer(Linear& layer, const nn::smoothing& smoothing, const input_metric& metric,
                 const nn::output_metric& outputs, const layer_moments& moments, bool writes_stream) {
    const matrix<double> weights = target_weights(layer, smoothing, metric, moments, writes_stream);
    const bool ranges = options_.depth == reconstruction::ranges;
    std::vector<rounded_row> rows(layer.out_features());
    threads_.parallel_for(rows.size(), [&](std::size_t row) {
      const row_rounding<weight_part> rounding(metric, weights.row(row));
      rows[row] = ranges ? rounding.ranges_only() : rounding();
    });
    if (ranges) return detail::set_grids(layer, rows);
    round_together(metric, outputs, weights, rows);
    detail::set_codes(layer, smoothing, rows);
  }
  void round_together(const input_metric& metric, const nn::output_metric& outputs, const matrix<double>& weights,
                      std::span<rounded_row> rows) {
    std::vector<std::size_t> first{0};
    for (const matrix<double>& block : outputs.blocks) first.push_back(first.back() + block.rows());
    threads_.parallel_for(outputs.blocks.size(), [&](std::size_t b) {
      const std::size_t count = outputs.blocks[b].rows();
      matrix_rounding<weight_part>(metric, outputs.blocks[b], weights.view().row_block(first[b], count),
                                   options_.outputs.damping)(rows.subspan(first[b], count));
    });
  }

  /// The smoothed weights [out, in] to be rounded.
  template <class Linear>
  matrix<double> target_weights(const Linear& layer, const nn::smoothing& smoothing, const input_metric& metric,
                                const layer_moments& moments, bool writes_stream) {
    const std::size_t out = layer.out_features(), in = layer.in_features();
    matrix<double> weights = detail::smoothed_weights(layer, smoothing);
    if (moments.target.empty() || options_.depth == reconstruction::ranges) return weights;
    threads_.parallel_for(out, [&](std::size_t r) {
      // w += (E[y x] − w E[x xᵀ]) (E[x xᵀ] + damping)⁻¹
      const auto w = weights.row(r);
      std::vector<double> gap(in, 0.0), change(in, 0.0);
      for (std::size_t k = 0; k != in; ++k) {
        for (std::size_t j = 0; j != in; ++j) {
          gap[j] -= w[k] * moments.input(k, j);
          if (!writes_stream) gap[j] += w[k] * moments.target(k, j);
        }
        if (writes_stream) gap[k] += moments.target(r, k);
      }
      for (std::size_t k = 0; k != in; ++k)
        for (std::size_t j = 0; j != in; ++j) change[j] += gap[k] * metric.inverse(k, j);
      for (std::size_t k = 0; k != in; ++k) w[k] += change[k];
    });
    return weights;
  }

  Model& model_;
  Teacher& teacher_;
  Executor& threads_;
  reconstruction_options options_;
};

}  // namespace zoqat::ptq

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/responses/attention.hpp>
#include <zoqat/nn/responses/mlp.hpp>
#include <zoqat/nn/responses/response.hpp>
#include <zoqat/ptq/block_trace.hpp>
#include <zoqat/ptq/stream_metric.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

struct output_metric_options {
  bool used = true;  ///< false: every row of a matrix is rounded on its own
  stream_metric stream = stream_metric::identity;
  std::size_t block = 128;          ///< outputs of an MLP's layers that are rounded together, at most
  std::size_t tokens = 2048;        ///< of the calibration text that the metric is a mean over
  std::size_t stream_tokens = 512;  ///< that the stream's metric is a mean over
  double damping = 0.05;            ///< of each block, relative to its mean diagonal
  /// The metrics of each block of the model, in the order of `output_metrics::next`: taken in place of computed ones
  /// where they are given, to see what others are worth. The memory is the caller's.
  std::span<const std::vector<nn::output_metric>> given{};

  [[nodiscard]] bool computed() const noexcept { return used && given.empty(); }
};

/// The output metrics of one block after the other, in closed form from a model in full precision (nn/responses):
/// what an error of a linear layer's outputs does to the residual stream behind its layer, squared in the metric of
/// the stream. Rounding in it (ptq/matrix_rounding.hpp) lets the errors of rows cancel where they meet.
///
/// Cost: the stream's metric (see `stream_metric`), and for each block one pass over `tokens`, the responses, and a
/// product of hidden · intermediate · block operations. Memory: intermediate · block doubles for each MLP matrix.
template <class Model, executor Executor, simd::kernels Kernels = simd::default_kernels>
class output_metrics {
 public:
  /// Runs through the model once if the stream's metric is not the identity. Nothing is kept of `corpus` but a
  /// sample. Throws value_error for options that make no sense, and for a corpus without a token.
  output_metrics(Model& teacher, std::span<const nn::token_batch> corpus, Executor& threads,
                 const output_metric_options& options)
      : teacher_(teacher),
        threads_(threads),
        options_(checked(options)),
        sample_(sample_stream<Kernels>(teacher, corpus, options.computed() ? options.tokens : 0, threads)),
        stream_metrics_(stream_metrics<Kernels>(teacher,
                                                options.computed() ? options.stream : stream_metric::identity, corpus,
                                                options.stream_tokens, threads)) {
    require(!options.computed() || sample_.tokens() > 0, "output_metrics: the calibration text has no token");
    require(options.given.empty() || options.given.size() == teacher.blocks().size(),
            "output_metrics: metrics of {} blocks are given for a model of {}", options.given.size(),
            teacher.blocks().size());
  }

  /// Those of the next block's linear layers, in the order of for_each_shared_input.
  [[nodiscard]] std::vector<nn::output_metric> next() {
    std::vector<nn::output_metric> metrics;
    if (options_.used && !options_.given.empty()) return options_.given[block_++];
    if (!options_.used) {
      teacher_.blocks()[block_++].for_each_residual([&](auto& r) {
        r.layer().for_each_shared_input([&](auto&& input) { metrics.resize(metrics.size() + input.layers.size()); });
      });
      return metrics;
    }
    auto& block = teacher_.blocks()[block_];
    std::vector<detail::block_trace> traces;
    for (std::size_t i = 0; i != sample_.batches.size(); ++i)
      traces.push_back(detail::block_trace::of<Kernels>(block, sample_.batches[i], sample_.streams[i], threads_));
    std::size_t input = 0, residual = 0;
    block.for_each_residual([&](auto& r) {
      using layer_type = std::remove_cvref_t<decltype(r.layer())>;
      nn::response<layer_type> response(r.layer(), stream_metrics_[block_][residual++], options_.block);
      nn::workspace work;
      constexpr inference_lane lane;
      for (std::size_t i = 0; i != traces.size(); ++i)
        response.add(nn::forward_pass<Kernels, inference_lane, Executor>{lane, threads_, sample_.batches[i], work},
                     traces[i].inputs[input]);
      std::ranges::move(response.metrics(), std::back_inserter(metrics));
      r.layer().for_each_shared_input([&](auto&&) { ++input; });
    });
    for (std::size_t i = 0; i != traces.size(); ++i) sample_.streams[i] = std::move(traces[i].streams.back());
    ++block_;
    return metrics;
  }

 private:
  static const output_metric_options& checked(const output_metric_options& o) {
    require(
        o.block > 0 && o.tokens > 0 && o.stream_tokens > 0,
        "output_metrics: blocks of {} outputs, a mean over {} tokens and one of the stream over {}; each must be at "
        "least 1",
        o.block, o.tokens, o.stream_tokens);
    require(o.damping >= 0 && std::isfinite(o.damping), "output_metrics: the damping is {}", o.damping);
    return o;
  }

  Model& teacher_;
  Executor& threads_;
  output_metric_options options_;
  stream_sample sample_;
  std::vector<std::vector<matrix<double>>> stream_metrics_;
  std::size_t block_ = 0;
};

}  // namespace zoqat::ptq

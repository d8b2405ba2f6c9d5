// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/pass.hpp>
#include <zoqat/nn/responses/response.hpp>
#include <zoqat/params/inference_lane.hpp>
#include <zoqat/params/master_rows.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/simd/multiply.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// How much an error of the residual stream matters, as a quadratic form F [hidden, hidden] behind each layer that
/// writes it.
enum class stream_metric {
  identity,   ///< every direction alike, which needs no pass
  head,       ///< behind the last block, and taken for all: the Fisher metric of the next token's distribution
  recursive,  ///< the head's, taken back through one layer after the other by forward passes of that layer
};
/// The names of these policies, in their order.
inline constexpr std::array<std::string_view, 3> stream_metric_names{"identity", "head", "recursive"};

/// Some tokens of a corpus, in sequences that keep their beginnings, and the residual stream at each.
struct stream_sample {
  std::vector<nn::token_batch> batches;  ///< of one sequence each
  std::vector<matrix<float>> streams;    ///< [tokens, hidden]

  [[nodiscard]] std::size_t tokens() const {
    return std::accumulate(batches.begin(), batches.end(), std::size_t{},
                           [](std::size_t sum, const nn::token_batch& batch) { return sum + batch.tokens(); });
  }
};

/// At least `tokens` tokens from the beginning of a corpus, where it has as many, and what they are embedded as.
/// Sequences are cut after 256 tokens.
template <simd::kernels Kernels, class Model, executor Executor>
[[nodiscard]] stream_sample sample_stream(Model& model, std::span<const nn::token_batch> corpus, std::size_t tokens,
                                          Executor& threads) {
  constexpr std::size_t longest = 256;
  stream_sample sample;
  for (const nn::token_batch& batch : corpus)
    for (std::size_t s = 0; s != batch.sequences() && sample.tokens() < tokens; ++s) {
      std::vector<nn::token> sequence;
      for (std::size_t i = 0; i != std::min(longest, batch.length(s)); ++i)
        sequence.push_back(batch[batch.start(s) + i]);
      sample.batches.emplace_back().add(sequence);
      nn::workspace work;
      constexpr inference_lane lane;
      model.embed(nn::forward_pass<Kernels, inference_lane, Executor>{lane, threads, sample.batches.back(), work});
      sample.streams.push_back(std::move(work.stream));
    }
  return sample;
}

namespace detail {

/// How far values are moved to see what follows: a part of their root mean square.
inline constexpr float response_step = 0.05f;

[[nodiscard]] inline float root_mean_square(const matrix<float>& x) {
  double sum = 0;
  for (const float v : x.flat()) sum += double{v} * double{v};
  return static_cast<float>(std::sqrt(sum / static_cast<double>(std::max<std::size_t>(1, x.size()))));
}

/// sum [n, n] += x xᵀ for x [n, width], in parts of the width whose products are added in double.
template <simd::kernels Kernels, executor Executor>
void add_gram(const matrix<float>& x, matrix<double>& sum, Executor& threads) {
  constexpr std::size_t depth = 1024, rows = 64;
  threads.parallel_for((x.rows() + rows - 1) / rows, [&](std::size_t block) {
    const std::size_t first = block * rows, count = std::min(rows, x.rows() - first);
    matrix<float> part(count, x.rows());
    for (std::size_t from = 0; from < x.cols(); from += depth) {
      const auto columns = x.view().col_block(from, std::min(depth, x.cols() - from));
      simd::multiply<Kernels>(columns.row_block(first, count), columns, part);
      for (std::size_t i = 0; i != count; ++i)
        for (std::size_t j = 0; j != x.rows(); ++j) sum(first + i, j) += static_cast<double>(part(i, j));
    }
  });
}

/// For labels drawn from the distribution p [vocabulary] of row `row`: the head's row of each less the mean row under
/// p, [labels, hidden].
template <simd::kernels Kernels>
void pull_labels(std::span<const float> p, const master_rows& head, std::uint32_t row, matrix<float>& toward) {
  buffer<float> room;
  std::vector<float> mean(toward.cols(), 0.0f);
  for (std::size_t word = 0; word != p.size(); ++word)
    Kernels::add_scaled(mean.data(), head.read<Kernels>(word, 1, room).data(), p[word], mean.data(), mean.size());
  rng::engine random({.step = row, .use = rng::purpose::sampling});
  for (std::size_t i = 0; i != toward.rows(); ++i) {
    double left = double{random.uniform()};
    std::size_t label = 0;
    while (label + 1 != p.size() && (left -= double{p[label]}) >= 0) ++label;
    Kernels::add_scaled(head.read<Kernels>(label, 1, room).data(), mean.data(), -1.0f, toward.row(i).data(),
                        mean.size());
  }
}

/// The Fisher metric of the next token at the end of the stream: mean of a aᵀ, a the derivative of log p(ŷ) by the
/// stream, for ŷ drawn from the model. The norm's derivative is measured by moving one element of the stream after
/// the other. Cost for each token: hidden² operations for each of `labels`, and vocabulary · hidden.
template <simd::kernels Kernels, class Model, executor Executor>
[[nodiscard]] matrix<double> head_metric(Model& model, const stream_sample& sample, Executor& threads) {
  constexpr std::size_t labels = 16;
  const std::size_t hidden = model.shape().hidden, words = model.shape().vocabulary;
  const master_rows head = model.head();
  matrix<double> metric(hidden, hidden, 0.0);
  nn::token_batch directions;  // one row for each direction and sign
  directions.add(std::vector<nn::token>(2 * hidden));
  std::size_t rows = 0;
  for (std::size_t i = 0; i != sample.batches.size(); ++i) {
    nn::workspace work, moved;
    constexpr inference_lane lane;
    const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, threads, sample.batches[i], work};
    const nn::forward_pass<Kernels, inference_lane, Executor> around{lane, threads, directions, moved};
    work.stream = sample.streams[i];
    model.normalize(pass);
    std::vector<std::size_t> all(pass.tokens());
    std::iota(all.begin(), all.end(), 0);
    matrix<float> p(all.size(), words), scores(hidden, labels * all.size());
    model.logits(pass, all, p);
    for (std::size_t t = 0; t != all.size(); ++t) Kernels::softmax(p.row(t).data(), words);
    const float step = response_step * root_mean_square(work.stream);
    for (std::size_t t = 0; t != all.size(); ++t, ++rows) {
      matrix<float> toward(labels, hidden), score(hidden, labels);  // head of ŷ − Σ p · head, and its effect
      pull_labels<Kernels>(p.row(t), head, static_cast<std::uint32_t>(rows), toward);
      moved.stream.reshape(2 * hidden, hidden);
      for (std::size_t k = 0; k != 2 * hidden; ++k) {
        std::ranges::copy(work.stream.row(t), moved.stream.row(k).begin());
        moved.stream(k, k / 2) += k % 2 == 0 ? step : -step;
      }
      model.normalize(around);
      for (std::size_t k = 0; k != hidden; ++k)
        for (std::size_t j = 0; j != hidden; ++j)
          moved.normed(2 * k, j) = (moved.normed(2 * k, j) - moved.normed(2 * k + 1, j)) / (2 * step);
      const matrix_view<const float> derivative(moved.normed.data(), hidden, hidden, 2 * hidden);
      simd::multiply<Kernels>(derivative, toward, score);
      for (std::size_t k = 0; k != hidden; ++k) std::ranges::copy(score.row(k), scores.row(k).data() + t * labels);
    }
    add_gram<Kernels>(scores, metric, threads);
  }
  for (double& x : metric.flat()) x /= static_cast<double>(std::max<std::size_t>(1, labels * rows));
  return metric;
}

/// The metric before one residual layer, from `behind`, that behind it: mean over tokens of δᵢᵀ F δⱼ, where δᵢ is the
/// response of the stream to its element i before the layer, moved at all tokens at once with signs that all elements
/// share. `streams` are those before the layer. Cost: hidden passes of the layer; memory: tokens of a sequence times
/// hidden² floats.
template <simd::kernels Kernels, class Residual, executor Executor>
[[nodiscard]] matrix<double> metric_before(Residual& residual, const std::vector<nn::token_batch>& batches,
                                           const std::vector<matrix<float>>& streams, const matrix<double>& behind,
                                           Executor& threads) {
  const std::size_t hidden = behind.rows();
  const matrix<float> root = nn::detail::transposed(nn::detail::factor(behind));
  matrix<double> metric(hidden, hidden, 0.0);
  std::size_t tokens = 0;
  for (std::size_t b = 0; b != batches.size(); ++b) {
    const matrix<float>& stream = streams[b];
    nn::workspace work;
    constexpr inference_lane lane;
    const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, threads, batches[b], work};
    const auto after = [&](std::size_t i, float step) {
      work.stream = stream;
      rng::engine coin({.step = static_cast<std::uint32_t>(b), .index = 1, .use = rng::purpose::sampling});
      for (std::size_t t = 0; t != stream.rows(); ++t) work.stream(t, i) += coin() % 2 == 0 ? step : -step;
      residual.forward(pass, 0, work.stream);
    };
    after(0, 0);
    const matrix<float> undisturbed = work.stream;
    const float step = response_step * root_mean_square(stream);
    matrix<float> responses(hidden, stream.size());
    for (std::size_t i = 0; i != hidden; ++i) {
      after(i, step);
      for (std::size_t k = 0; k != stream.size(); ++k)
        work.stream.flat()[k] = (work.stream.flat()[k] - undisturbed.flat()[k]) / step;
      simd::multiply<Kernels>(work.stream, root, {responses.row(i).data(), stream.rows(), hidden});
    }
    add_gram<Kernels>(responses, metric, threads);
    tokens += stream.rows();
  }
  for (double& x : metric.flat()) x /= static_cast<double>(std::max<std::size_t>(1, tokens));
  return metric;
}

}  // namespace detail

/// The metric of the residual stream behind each layer: [block][residual], all empty where it is the identity. The
/// corpus gives the tokens that it is a mean over.
template <simd::kernels Kernels, class Model, executor Executor>
[[nodiscard]] std::vector<std::vector<matrix<double>>> stream_metrics(Model& model, stream_metric policy,
                                                                      std::span<const nn::token_batch> corpus,
                                                                      std::size_t tokens, Executor& threads) {
  std::vector<std::vector<matrix<double>>> metrics(model.blocks().size());
  for (std::size_t b = 0; b != metrics.size(); ++b)
    model.blocks()[b].for_each_residual([&](auto&) { metrics[b].emplace_back(); });
  if (policy == stream_metric::identity || metrics.empty()) return metrics;

  stream_sample sample = sample_stream<Kernels>(model, corpus, tokens, threads);
  std::vector<std::vector<matrix<float>>> before;  // each residual layer, in the order of a pass
  for (auto& block : model.blocks())
    block.for_each_residual([&](auto& residual) {
      before.push_back(sample.streams);
      for (std::size_t i = 0; i != sample.batches.size(); ++i) {
        nn::workspace work;
        constexpr inference_lane lane;
        const nn::forward_pass<Kernels, inference_lane, Executor> pass{lane, threads, sample.batches[i], work};
        residual.forward(pass, 0, sample.streams[i]);
      }
    });
  matrix<double> behind = detail::head_metric<Kernels>(model, sample, threads);
  for (std::size_t b = metrics.size(); b-- > 0;) {
    std::vector<std::function<void()>> backward;
    std::size_t r = 0;
    model.blocks()[b].for_each_residual([&](auto& residual) {
      backward.push_back([&, r] {
        metrics[b][r] = behind;
        if (policy == stream_metric::head || before.size() == 1) return;
        behind = detail::metric_before<Kernels>(residual, sample.batches, before.back(), behind, threads);
        before.pop_back();
      });
      ++r;
    });
    while (!backward.empty()) backward.back()(), backward.pop_back();
  }
  return metrics;
}

}  // namespace zoqat::ptq

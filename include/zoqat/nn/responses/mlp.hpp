// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/mlp.hpp>
#include <zoqat/nn/responses/response.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

namespace detail {

/// Sums of a aᵀ by blocks of the diagonal, where a [n] says how far each hidden unit follows an output before it, and
/// what becomes of them behind the last matrix of an MLP: H = mean(a aᵀ) ∘ Wᵀ F W, since the unit i writes a_i times
/// column i of W.
class hidden_metric {
 public:
  hidden_metric(std::size_t n, std::size_t most) : bounds_(block_bounds(n, most)) {
    for (std::size_t b = 0; b + 1 != bounds_.size(); ++b) sums_.emplace_back(size(b), size(b), 0.0);
  }

  /// Adds a [tokens, n].
  template <executor Executor>
  void add(const matrix<float>& a, Executor& threads) {
    tokens_ += a.rows();
    threads.parallel_for(sums_.size(), [&](std::size_t b) {
      for (std::size_t t = 0; t != a.rows(); ++t) {
        const std::span<const float> row = a.row(t).subspan(bounds_[b], size(b));
        for (std::size_t i = 0; i != row.size(); ++i)
          for (std::size_t j = 0; j != row.size(); ++j)
            sums_[b](i, j) += static_cast<double>(row[i]) * static_cast<double>(row[j]);
      }
    });
  }
  /// `weights` [hidden, n] are those of the last matrix; `f` is the metric of the stream.
  [[nodiscard]] output_metric behind(matrix_view<const float> weights, const matrix<double>& f) const {
    output_metric metric;
    for (std::size_t b = 0; b != sums_.size(); ++b) {
      metric.blocks.push_back(seen_through(weights, f, bounds_[b], size(b)));
      for (std::size_t i = 0; i != metric.blocks[b].size(); ++i)
        metric.blocks[b].data()[i] *= sums_[b].data()[i] / static_cast<double>(tokens_);
    }
    return metric;
  }

 private:
  [[nodiscard]] std::size_t size(std::size_t b) const noexcept { return bounds_[b + 1] - bounds_[b]; }

  std::vector<std::size_t> bounds_;
  std::vector<matrix<double>> sums_;
  std::size_t tokens_ = 0;
};

/// The derivative of an activation, by central differences: values(x) [n], in place. Its error is below 1e-4 for the
/// activations there are, and at the kink of a ReLU it is the mean of both sides.
template <class Activation, class Kernels>
void differentiate(std::span<float> x) {
  constexpr float h = 1.0f / 64;
  thread_local buffer<float> above, below;
  above.resize(x.size()), below.resize(x.size());
  for (std::size_t i = 0; i != x.size(); ++i) above[i] = x[i] + h, below[i] = x[i] - h;
  Activation::template apply<Kernels>(above.data(), x.size());
  Activation::template apply<Kernels>(below.data(), x.size());
  for (std::size_t i = 0; i != x.size(); ++i) x[i] = (above[i] - below[i]) / (2 * h);
}

}  // namespace detail

/// down(act(g) ⊙ u): u is answered by act(g) times a column of down's weights, g by u · act'(g) times the same.
template <class Linear, activation Activation>
class response<gated_mlp<Linear, Activation>> {
 public:
  using layer_type = gated_mlp<Linear, Activation>;

  response(layer_type& layer, const matrix<double>& stream_metric, std::size_t block)
      : layer_(layer), stream_metric_(stream_metric), block_(block) {
    layer.for_each_shared_input([&](auto&& input) { down_ = input.layers.back(); });
    gate_ = up_ = detail::hidden_metric(down_->in_features(), block);
  }

  template <class Pass>
  void add(const Pass& pass, matrix_view<const float> x) {
    using kernels = typename Pass::kernels;
    layer_.project(pass, x);
    matrix<float> by_gate = pass.work.gate, by_up = pass.work.gate;
    pass.for_each_row([&](std::size_t row) {
      Activation::template apply<kernels>(by_up.row(row).data(), by_up.cols());
      detail::differentiate<Activation, kernels>(by_gate.row(row));
      kernels::multiply(pass.work.up.row(row).data(), by_gate.row(row).data(), by_gate.cols());
    });
    gate_.add(by_gate, pass.threads);
    up_.add(by_up, pass.threads);
  }
  [[nodiscard]] std::vector<output_metric> metrics() const {
    buffer<float> room;
    const auto weights = detail::weights_of<simd::default_kernels>(*down_, room);
    return {gate_.behind(weights, stream_metric_), up_.behind(weights, stream_metric_),
            detail::of_stream(stream_metric_, block_)};
  }

 private:
  layer_type& layer_;
  const matrix<double>& stream_metric_;
  std::size_t block_;
  const Linear* down_ = nullptr;
  detail::hidden_metric gate_{0, 1}, up_{0, 1};
};

/// fc2(act(h)): h is answered by act'(h) times a column of fc2's weights.
template <class Linear, activation Activation>
class response<mlp<Linear, Activation>> {
 public:
  using layer_type = mlp<Linear, Activation>;

  response(layer_type& layer, const matrix<double>& stream_metric, std::size_t block)
      : layer_(layer), stream_metric_(stream_metric), block_(block) {
    layer.for_each_shared_input([&](auto&& input) { out_ = input.layers.back(); });
    hidden_ = detail::hidden_metric(out_->in_features(), block);
  }

  template <class Pass>
  void add(const Pass& pass, matrix_view<const float> x) {
    layer_.project(pass, x);
    matrix<float> by_hidden = pass.work.gate;
    pass.for_each_row(
        [&](std::size_t row) { detail::differentiate<Activation, typename Pass::kernels>(by_hidden.row(row)); });
    hidden_.add(by_hidden, pass.threads);
  }
  [[nodiscard]] std::vector<output_metric> metrics() const {
    buffer<float> room;
    const auto weights = detail::weights_of<simd::default_kernels>(*out_, room);
    return {hidden_.behind(weights, stream_metric_), detail::of_stream(stream_metric_, block_)};
  }

 private:
  layer_type& layer_;
  const matrix<double>& stream_metric_;
  std::size_t block_;
  const Linear* out_ = nullptr;
  detail::hidden_metric hidden_{0, 1};
};

}  // namespace zoqat::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/random_model.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/responses/response.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace zoqat::testing {

/// A linear layer in full precision one of whose outputs can be disturbed at one token.
struct disturbed_linear : nn::linear {
  struct {
    std::size_t token = 0, output = 0;
    float by = 0;
  } disturbance;

  using nn::linear::linear;

  template <class Pass>
  void forward(const Pass& pass, const nn::linear_input<scheme>& input, matrix_view<float> out,
               bool accumulate) const {
    nn::linear::forward(pass, input, out, accumulate);
    if (disturbance.by != 0) out(disturbance.token, disturbance.output) += disturbance.by;
  }
};

/// A layer with random weights, and random inputs of some sequences.
template <class Layer>
struct disturbed_layer {
  model_shape shape;
  nn::parameter_ids ids;
  Layer layer;
  nn::token_batch batch;
  matrix<float> x;
  sequential threads;

  template <class Shared>
  disturbed_layer(const model_shape& s, const Shared& shared, std::span<const std::size_t> lengths)
      : shape(s), layer(ids, "", shape, shared), batch(random_batch(lengths, s.vocabulary, 1)) {
    x = random_matrix(batch.tokens(), shape.hidden, 77);
    std::uint32_t name = 200;
    for_each_linear([&](disturbed_linear& linear) {
      const float scale = std::sqrt(3.0f / static_cast<float>(linear.in_features()));
      std::ranges::copy(random_floats(linear.weight().values().size(), name++, 2 * scale),
                        linear.weight().values().data());
    });
  }
  template <class F>
  void for_each_linear(F&& f) {
    layer.for_each_shared_input([&](auto&& input) {
      for (auto* linear : input.layers) f(*linear);
    });
  }
  [[nodiscard]] auto pass(nn::workspace& work) {
    static constexpr inference_lane lane;
    return nn::forward_pass<simd::default_kernels, inference_lane, sequential>{lane, threads, batch, work};
  }
  /// What the layer writes: [tokens, hidden].
  [[nodiscard]] matrix<float> written() {
    nn::workspace work;
    matrix<float> stream(x.rows(), shape.hidden, 0.0f);
    layer.forward(pass(work), 0, x, stream);
    return stream;
  }
  /// mean of Jᵀ F J by central differences, over disturbances of one token after the other: [outputs, outputs].
  [[nodiscard]] matrix<double> measured(disturbed_linear& linear, const matrix<double>& f) {
    constexpr float step = 1.0f / 64;
    const std::size_t n = linear.out_features(), hidden = shape.hidden;
    matrix<double> metric(n, n, 0.0);
    for (std::size_t token = 0; token != x.rows(); ++token) {
      std::vector<matrix<float>> responses;
      for (std::size_t i = 0; i != n; ++i) {
        linear.disturbance = {token, i, step};
        responses.push_back(written());
        linear.disturbance.by = -step;
        const matrix<float> below = written();
        for (std::size_t k = 0; k != below.size(); ++k)
          responses[i].data()[k] = (responses[i].data()[k] - below.data()[k]) / (2 * step);
      }
      linear.disturbance.by = 0;
      for (std::size_t i = 0; i != n; ++i)
        for (std::size_t j = 0; j != n; ++j)
          for (std::size_t t = 0; t != x.rows(); ++t)
            for (std::size_t a = 0; a != hidden; ++a)
              for (std::size_t b = 0; b != hidden; ++b)
                metric(i, j) += (f.empty() ? (a == b ? 1.0 : 0.0) : f(a, b)) * double{responses[i](t, a)} *
                                double{responses[j](t, b)} / static_cast<double>(x.rows());
    }
    return metric;
  }
  /// The same of all linear layers by the layer's own response, with blocks of at most `block` rows.
  [[nodiscard]] std::vector<nn::output_metric> answered(const matrix<double>& f, std::size_t block) {
    nn::workspace work;
    nn::response<Layer> response(layer, f, block);
    response.add(pass(work), x);
    return response.metrics();
  }
};

/// A random metric of the stream: positive definite.
inline matrix<double> random_metric(std::size_t n) {
  const matrix<float> root = random_matrix(n, n, 900);
  matrix<double> f(n, n, 0.0);
  for (std::size_t i = 0; i != n; ++i)
    for (std::size_t j = 0; j != n; ++j)
      for (std::size_t k = 0; k != n; ++k) f(i, j) += double{root(i, k)} * double{root(j, k)};
  return f;
}

/// How far the blocks of `found` are at most from those of `expected`, relative to the largest element; -1 where they
/// do not cover it.
inline double largest_difference(const nn::output_metric& found, const matrix<double>& expected) {
  double difference = 0, largest = 0;
  for (const double x : expected.flat()) largest = std::max(largest, std::abs(x));
  std::size_t first = 0;
  for (const matrix<double>& block : found.blocks) {
    for (std::size_t i = 0; i != block.rows(); ++i)
      for (std::size_t j = 0; j != block.cols(); ++j)
        difference = std::max(difference, std::abs(block(i, j) - expected(first + i, first + j)));
    first += block.rows();
  }
  return first == expected.rows() ? difference / largest : -1;
}

}  // namespace zoqat::testing

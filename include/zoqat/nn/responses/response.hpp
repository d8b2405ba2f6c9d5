// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/params/master_rows.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::nn {

/// A quadratic form H over the outputs of a linear layer, as blocks of its diagonal: an error e of the outputs at one
/// token, independent of those at others, costs eᵀ H e. Without blocks it is the identity: the rows of the layer have
/// nothing to do with each other.
struct output_metric {
  std::vector<matrix<double>> blocks;  ///< in the order of the outputs, which they cover once
};

/// What a layer of a block answers when an output of one of its linear layers is disturbed: the change of what the
/// layer writes to the residual stream. Its mean square is an output metric, in closed form from a forward pass in
/// full precision (there is no reverse pass, and no direction is tried). With F the metric of the stream behind the
/// layer, H = mean over tokens of Jᵀ F J, where J is the derivative of what is written by the outputs in question.
///
/// A layer says so by a specialization with three members:
/// - `response(layer, F, block)`, F [hidden, hidden] or empty for the identity, blocks of at most `block` rows;
/// - `add(pass, x)`, for the normed inputs x [tokens, hidden] of the layer;
/// - `metrics()`, those of its linear layers in the order of for_each_shared_input.
template <class Layer>
class response {
  static_assert(sizeof(Layer) == 0,
                "nn::response: this layer has none: specialize it as nn/responses/mlp.hpp does, or derive the "
                "specialization from nn::no_response<layer>");
};

/// For a layer that does not say what it answers: each row of its linear layers is on its own.
template <class Layer>
class no_response {
 public:
  no_response(Layer& layer, const matrix<double>&, std::size_t) {
    layer.for_each_shared_input([&](auto&& input) { count_ += input.layers.size(); });
  }
  template <class Pass>
  void add(const Pass&, matrix_view<const float>) {}
  [[nodiscard]] std::vector<output_metric> metrics() const { return std::vector<output_metric>(count_); }

 private:
  std::size_t count_ = 0;
};

namespace detail {

/// The masters [out, in] of a layer in full precision.
template <class Kernels, class Linear>
[[nodiscard]] matrix_view<const float> weights_of(const Linear& layer, buffer<float>& room) {
  return layer.weight().master_rows().template read<Kernels>(0, layer.out_features(), room);
}

/// Wᵀ F W for the columns [first, first + count) of W [hidden, n]: the metric F of the stream, seen from what W
/// multiplies. F may be empty for the identity.
[[nodiscard]] inline matrix<double> seen_through(matrix_view<const float> w, const matrix<double>& f,
                                                 std::size_t first, std::size_t count) {
  matrix<double> fw(w.rows(), count, 0.0), result(count, count, 0.0);
  for (std::size_t r = 0; r != w.rows(); ++r)
    for (std::size_t j = 0; j != count; ++j) {
      if (f.empty())
        fw(r, j) = static_cast<double>(w(r, first + j));
      else
        for (std::size_t k = 0; k != w.rows(); ++k) fw(r, j) += f(r, k) * static_cast<double>(w(k, first + j));
    }
  for (std::size_t r = 0; r != w.rows(); ++r)
    for (std::size_t i = 0; i != count; ++i)
      for (std::size_t j = 0; j != count; ++j) result(i, j) += static_cast<double>(w(r, first + i)) * fw(r, j);
  return result;
}

/// L with L Lᵀ = g, for a positive semidefinite g [n, n]: Cholesky's factor of it with a millionth of its mean
/// diagonal added.
[[nodiscard]] inline matrix<float> factor(const matrix<double>& g) {
  const std::size_t n = g.rows();
  double mean = 0;
  for (std::size_t i = 0; i != n; ++i) mean += g(i, i) / static_cast<double>(n);
  matrix<double> l(n, n, 0.0);
  for (std::size_t i = 0; i != n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double rest = g(i, j) + (i == j ? 1e-6 * mean : 0.0);
      for (std::size_t k = 0; k != j; ++k) rest -= l(i, k) * l(j, k);
      l(i, j) = i == j ? std::sqrt(std::max(rest, 1e-12 * mean)) : (l(j, j) > 0 ? rest / l(j, j) : 0.0);
    }
  matrix<float> result(n, n);
  for (std::size_t i = 0; i != l.size(); ++i) result.data()[i] = static_cast<float>(l.data()[i]);
  return result;
}

[[nodiscard]] inline matrix<float> transposed(matrix_view<const float> x) {
  matrix<float> result(x.cols(), x.rows());
  for (std::size_t i = 0; i != x.rows(); ++i)
    for (std::size_t j = 0; j != x.cols(); ++j) result(j, i) = x(i, j);
  return result;
}

/// The first rows of blocks of nearly equal size, at most `most` each, and behind them n.
[[nodiscard]] inline std::vector<std::size_t> block_bounds(std::size_t n, std::size_t most) {
  const std::size_t blocks = std::max<std::size_t>(1, (n + most - 1) / most);
  std::vector<std::size_t> bounds;
  for (std::size_t i = 0; i <= blocks; ++i) bounds.push_back(n * i / blocks);
  return bounds;
}

/// The metric F itself, for a linear layer whose output is added to the stream.
[[nodiscard]] inline output_metric of_stream(const matrix<double>& f, std::size_t most) {
  output_metric metric;
  if (f.empty()) return metric;
  const std::vector<std::size_t> bounds = block_bounds(f.rows(), most);
  for (std::size_t b = 0; b + 1 != bounds.size(); ++b) {
    const std::size_t first = bounds[b], count = bounds[b + 1] - first;
    matrix<double> block(count, count);
    for (std::size_t i = 0; i != count; ++i)
      for (std::size_t j = 0; j != count; ++j) block(i, j) = f(first + i, first + j);
    metric.blocks.push_back(std::move(block));
  }
  return metric;
}

}  // namespace detail

}  // namespace zoqat::nn

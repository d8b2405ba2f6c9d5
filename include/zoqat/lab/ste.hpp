// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/lab/fixed_quantizer.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab {

/// A small network with fake quantization and its straight-through gradient, in double and by hand: the reference
/// that first-order QAT is compared with. Layers without biases, tanh between them; L = 1/2n Σ ‖y − t‖² over n
/// samples. The weights are one vector, layer after layer, each [out, in] row-major. Weights are quantized by one
/// quantizer, the inputs of all layers but the first by another; a step of 0 leaves either in full precision, and
/// then the gradient is exact.
class ste_network {
 public:
  struct quantizers {
    fixed_quantizer weights{}, activations{};
  };

  /// `widths` are the sizes of the inputs, of what is between layers, and of the outputs: two of them make a linear
  /// layer. `inputs` [n, widths.front()] and `targets` [n, widths.back()], row-major. Throws value_error where they
  /// do not fit.
  ste_network(std::vector<std::size_t> widths, std::vector<double> inputs, std::vector<double> targets,
              quantizers how)
      : widths_(std::move(widths)), inputs_(std::move(inputs)), targets_(std::move(targets)), quantize_(how) {
    require(widths_.size() >= 2 && std::ranges::find(widths_, 0u) == widths_.end(),
            "ste_network: {} widths; there must be at least 2, none of them 0", widths_.size());
    samples_ = inputs_.size() / widths_.front();
    require(
        samples_ > 0 && inputs_.size() == samples_ * widths_.front() && targets_.size() == samples_ * widths_.back(),
        "ste_network: {} inputs and {} targets make no samples of {} and {}", inputs_.size(), targets_.size(),
        widths_.front(), widths_.back());
  }

  /// Weights in all.
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t n = 0;
    for (std::size_t layer = 0; layer + 1 != widths_.size(); ++layer) n += widths_[layer] * widths_[layer + 1];
    return n;
  }
  /// L at weights of floats or doubles.
  template <class T>
  [[nodiscard]] double operator()(std::span<const T> weights) const {
    const std::vector<double> w = quantized(weights);
    double total = 0;
    for (std::size_t n = 0; n != samples_; ++n) total += squares(residual(run(w, n), n));
    return total / (2 * static_cast<double>(samples_));
  }
  /// ∂L/∂weights, with both quantizers' derivatives replaced by `fixed_quantizer::straight_through`.
  [[nodiscard]] std::vector<double> gradient(std::span<const double> weights) const {
    const std::vector<double> w = quantized(weights);
    std::vector<double> g(weights.size());
    for (std::size_t n = 0; n != samples_; ++n) {
      const std::vector<layer_values> layers = run(w, n);
      std::vector<double> back = residual(layers, n);
      std::size_t end = g.size();
      for (std::size_t layer = layers.size() - 1; layer-- > 0;) {
        const std::size_t begin = end - widths_[layer] * widths_[layer + 1];
        back = backward(layers[layer], std::span(w).subspan(begin, end - begin), back,
                        std::span(g).subspan(begin, end - begin), layer != 0);
        end = begin;
      }
    }
    for (std::size_t j = 0; j != g.size(); ++j)
      g[j] *= quantize_.weights.straight_through(weights[j]) / static_cast<double>(samples_);
    return g;
  }

 private:
  /// What goes into a layer, before and after its quantizer. The last entry of a run is the network's output.
  struct layer_values {
    std::vector<double> raw, used;
  };

  template <class T>
  [[nodiscard]] std::vector<double> quantized(std::span<const T> weights) const {
    require(weights.size() == size(), "ste_network: {} weights, but the layers have {}", weights.size(), size());
    std::vector<double> w;
    for (const T x : weights) w.push_back(quantize_.weights(static_cast<double>(x)));
    return w;
  }
  [[nodiscard]] std::vector<layer_values> run(std::span<const double> w, std::size_t n) const {
    const std::span<const double> x = std::span(inputs_).subspan(n * widths_.front(), widths_.front());
    std::vector<layer_values> layers{{{x.begin(), x.end()}, {x.begin(), x.end()}}};
    for (std::size_t layer = 0; layer + 1 != widths_.size(); ++layer) {
      const std::vector<double>& in = layers.back().used;
      layer_values next;
      const bool is_last = layer + 2 == widths_.size();
      for (std::size_t row = 0; row != widths_[layer + 1]; ++row, w = w.subspan(in.size())) {
        double sum = 0;
        for (std::size_t i = 0; i != in.size(); ++i) sum += w[i] * in[i];
        next.raw.push_back(is_last ? sum : std::tanh(sum));
        next.used.push_back(is_last ? sum : quantize_.activations(next.raw.back()));
      }
      layers.push_back(std::move(next));
    }
    return layers;
  }
  /// Adds to the gradient [out, in] of a layer what `back`, the derivative by its outputs, makes of it, and returns
  /// the derivative by what is before the activation function and quantizer of its inputs.
  [[nodiscard]] std::vector<double> backward(const layer_values& in, std::span<const double> w,
                                             std::span<const double> back, std::span<double> g,
                                             bool through_activation) const {
    std::vector<double> before(in.used.size());
    for (std::size_t row = 0; row != back.size(); ++row)
      for (std::size_t i = 0; i != before.size(); ++i) {
        g[row * before.size() + i] += back[row] * in.used[i];
        before[i] += back[row] * w[row * before.size() + i];
      }
    if (through_activation)
      for (std::size_t i = 0; i != before.size(); ++i)
        before[i] *= quantize_.activations.straight_through(in.raw[i]) * (1 - in.raw[i] * in.raw[i]);
    return before;
  }
  [[nodiscard]] std::vector<double> residual(const std::vector<layer_values>& layers, std::size_t n) const {
    std::vector<double> r = layers.back().used;
    for (std::size_t i = 0; i != r.size(); ++i) r[i] -= targets_[n * r.size() + i];
    return r;
  }
  static double squares(std::span<const double> r) noexcept {
    double total = 0;
    for (const double x : r) total += x * x;
    return total;
  }

  std::vector<std::size_t> widths_;
  std::vector<double> inputs_, targets_;
  quantizers quantize_;
  std::size_t samples_ = 0;
};

}  // namespace zoqat::lab

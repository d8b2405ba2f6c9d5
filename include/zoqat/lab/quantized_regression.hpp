// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/lab/fixed_quantizer.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab {

/// A linear layer with quantized weights fitted to targets: L(W) = 1/2n Σ ‖Q(W)x − t‖² over n samples. The smallest
/// problem where first-order QAT and zeroth-order QAT are both exact: the straight-through gradient and the gradient
/// of the smoothed loss f_ε(W) = E L(W + εU), which a zeroth-order estimate has for its mean, are both closed forms.
class quantized_regression {
 public:
  /// `inputs` [n, in_features] and `targets` [n, out_features], row-major. Throws value_error where they do not fit.
  quantized_regression(std::size_t in_features, std::size_t out_features, std::vector<double> inputs,
                       std::vector<double> targets, fixed_quantizer quantizer)
      : in_(in_features),
        out_(out_features),
        inputs_(std::move(inputs)),
        targets_(std::move(targets)),
        quantizer_(quantizer) {
    require(in_ > 0 && out_ > 0 && inputs_.size() % in_ == 0 && !inputs_.empty() &&
                targets_.size() == inputs_.size() / in_ * out_,
            "quantized_regression: {} inputs and {} targets make no samples of {} and {}", inputs_.size(),
            targets_.size(), in_, out_);
  }

  [[nodiscard]] std::size_t size() const noexcept { return in_ * out_; }
  [[nodiscard]] const fixed_quantizer& quantizer() const noexcept { return quantizer_; }

  /// L(W), W [out_features, in_features] row-major, of floats or doubles.
  template <class T>
  [[nodiscard]] double operator()(std::span<const T> w) const {
    double total = 0;
    for_each_residual([&](std::size_t j) { return quantizer_(static_cast<double>(w[j])); },
                      [&](std::size_t, const double*, double residual) { total += residual * residual; });
    return total / (2 * samples());
  }
  /// The straight-through gradient: that of the loss in Q(W), and 0 where a weight is clamped.
  [[nodiscard]] std::vector<double> straight_through(std::span<const double> w) const {
    std::vector<double> g(size());
    for_each_residual([&](std::size_t j) { return quantizer_(w[j]); },
                      [&](std::size_t row, const double* x, double residual) {
                        for (std::size_t i = 0; i != in_; ++i) g[row * in_ + i] += residual * x[i] / samples();
                      });
    for (std::size_t j = 0; j != g.size(); ++j) g[j] *= quantizer_.straight_through(w[j]);
    return g;
  }
  /// f_ε(W): the means of the weights in the place of the weights, and what their variances add.
  [[nodiscard]] double smoothed(std::span<const double> w, double epsilon) const {
    const std::vector<smoothed_weight> s = smooth(w, epsilon);
    double total = 0;
    for_each_residual([&](std::size_t j) { return s[j].mean; },
                      [&](std::size_t row, const double* x, double residual) {
                        total += residual * residual;
                        for (std::size_t i = 0; i != in_; ++i) total += x[i] * x[i] * s[row * in_ + i].variance();
                      });
    return total / (2 * samples());
  }
  /// ∇f_ε(W).
  [[nodiscard]] std::vector<double> smoothed_gradient(std::span<const double> w, double epsilon) const {
    const std::vector<smoothed_weight> s = smooth(w, epsilon);
    std::vector<double> g(size());
    for_each_residual([&](std::size_t j) { return s[j].mean; },
                      [&](std::size_t row, const double* x, double residual) {
                        for (std::size_t i = 0; i != in_; ++i) {
                          const smoothed_weight& v = s[row * in_ + i];
                          g[row * in_ + i] +=
                              (residual * x[i] * v.mean_slope + x[i] * x[i] * v.variance_slope() / 2) / samples();
                        }
                      });
    return g;
  }

 private:
  [[nodiscard]] double samples() const noexcept { return static_cast<double>(inputs_.size() / in_); }
  [[nodiscard]] std::vector<smoothed_weight> smooth(std::span<const double> w, double epsilon) const {
    std::vector<smoothed_weight> s;
    for (const double x : w) s.push_back(smoothed_weight::of(quantizer_, x, epsilon));
    return s;
  }
  /// Calls f(row, x, ⟨weights of the row, x⟩ − t) for every sample x [in_features] and row.
  template <class Weight, class F>
  void for_each_residual(Weight&& weight, F&& f) const {
    for (std::size_t n = 0; n != inputs_.size() / in_; ++n)
      for (std::size_t row = 0; row != out_; ++row) {
        const double* const x = inputs_.data() + n * in_;
        double residual = -targets_[n * out_ + row];
        for (std::size_t i = 0; i != in_; ++i) residual += weight(row * in_ + i) * x[i];
        f(row, x, residual);
      }
  }

  std::size_t in_, out_;
  std::vector<double> inputs_, targets_;
  fixed_quantizer quantizer_;
};

}  // namespace zoqat::lab

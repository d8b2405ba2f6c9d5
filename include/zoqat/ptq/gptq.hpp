// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/model.hpp>
#include <zoqat/ptq/can_initialize.hpp>
#include <zoqat/ptq/cholesky.hpp>
#include <zoqat/ptq/clip_search.hpp>
#include <zoqat/ptq/input_stream.hpp>
#include <zoqat/ptq/rounded_row.hpp>
#include <zoqat/quant/row.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

struct gptq_options {
  /// Of the moments, relative to their mean diagonal; ten times as much where that is too little.
  double damping = 0.01;
  /// Columns with the largest inputs first, on grids of the weights before rounding.
  bool activation_order = true;
  /// Grids are those of `clipped_grids` (the released code's option `mse`, with both ends of a range on their own),
  /// not the ranges of the weights.
  bool clipped = true;
};

/// The moments E[x xᵀ] of an input as GPTQ uses them: the order in which columns are rounded, and how the error of
/// each is spread over those to come.
class gptq_metric {
 public:
  /// Takes more damping, ten times as much each time, as long as the moments have no Cholesky factor. Throws
  /// value_error for moments that are not square, options that make no sense, and moments that no damping mends, such
  /// as those with numbers that are not finite. Cost: 5/3 in³ operations.
  gptq_metric(const matrix<double>& moments, const gptq_options& options) : order_(moments.rows()) {
    const std::size_t n = moments.rows();
    require(moments.cols() == n, "gptq: moments are square, but these are [{}, {}]", n, moments.cols());
    require(options.damping >= 0 && std::isfinite(options.damping), "gptq: the damping is {}", options.damping);
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    if (options.activation_order)
      std::ranges::stable_sort(order_, [&](std::size_t a, std::size_t b) { return moments(a, a) > moments(b, b); });
    matrix<double> ordered(n, n);
    double mean = 0;
    for (std::size_t i = 0; i != n; ++i) {
      for (std::size_t j = 0; j != n; ++j) ordered(i, j) = moments(order_[i], order_[j]);
      mean += ordered(i, i) / static_cast<double>(n);
      dead_.push_back(ordered(i, i) == 0);
      if (dead_[i]) ordered(i, i) = 1;
    }
    damping_ = options.damping;
    while (!factor(ordered, mean)) {
      require(damping_ < 1,
              "gptq: the moments of {} inputs have no Cholesky factor even with a damping of {}; look "
              "for inputs that are not finite",
              n, damping_);
      damping_ = std::max(10 * damping_, 1e-8);
    }
  }

  [[nodiscard]] std::size_t in_features() const noexcept { return order_.size(); }
  /// The damping that was needed.
  [[nodiscard]] double damping() const noexcept { return damping_; }
  /// The column that is rounded at position `i`.
  [[nodiscard]] std::size_t column(std::size_t i) const noexcept { return order_[i]; }
  /// Whether its input is always zero, so that its weight may be anything and is zero.
  [[nodiscard]] bool dead(std::size_t i) const noexcept { return dead_[i]; }
  /// Row `i` of the upper triangular U with UᵀU = (damped moments)⁻¹, by positions: what the error of position `i`
  /// does to those after it.
  [[nodiscard]] std::span<const double> feedback(std::size_t i) const noexcept { return feedback_.row(i); }

 private:
  bool factor(const matrix<double>& ordered, double mean) {
    const std::size_t n = ordered.rows();
    matrix<double> damped = ordered;
    for (std::size_t i = 0; i != n; ++i) damped(i, i) += damping_ * mean;
    try {
      feedback_ = upper_cholesky(inverse_from_cholesky(cholesky(damped)));
    } catch (const value_error&) {
      return false;
    }
    return true;
  }

  std::vector<std::size_t> order_;
  std::vector<bool> dead_;
  matrix<double> feedback_;
  double damping_ = 0;
};

namespace detail {

/// The codes of a row of weights [in] that are rounded column by column in the order of the metric, the error of each
/// spread over those to come. `grid_of(k, w)` is the grid of column k, where w are the weights by positions with the
/// errors so far.
template <class Weight, class GridOf>
[[nodiscard]] std::vector<std::uint8_t> round_with_feedback(const gptq_metric& metric,
                                                            std::span<const double> weights, GridOf&& grid_of) {
  const std::size_t n = weights.size();
  std::vector<std::uint8_t> codes(n);
  std::vector<double> w(n);
  for (std::size_t i = 0; i != n; ++i) w[i] = weights[metric.column(i)];
  for (std::size_t i = 0; i != n; ++i) {
    const std::size_t k = metric.column(i);
    const simd::grid g = grid_of(k, w);
    codes[k] = nearest_code<Weight>(w[i], g);
    const auto feedback = metric.feedback(i);
    const double error = (w[i] - value_of(codes[k], g)) / feedback[i];
    add_scaled(feedback.subspan(i), -error, std::span(w).subspan(i));
  }
  return codes;
}

}  // namespace detail

/// One row of weights [in] rounded as GPTQ does (arXiv 2210.17323): column by column, the error of each spread over
/// those to come. Grids are the ranges of groups, or clipped. In activation order, and where groups share what their
/// steps are multiples of, they are those of the weights before rounding ("static groups"); otherwise a group's grid
/// is made when its turn comes, from what errors have made of its weights. The error of the row is left at 0. Cost:
/// in² operations, in double.
template <class Weight>
[[nodiscard]] rounded_row gptq_row(const gptq_metric& metric, std::span<const double> weights,
                                   const gptq_options& options) {
  const std::size_t n = weights.size(), size = Weight::group_size(n);
  require(n == metric.in_features(), "gptq: {} weights for moments of {} inputs", n, metric.in_features());
  std::vector<double> exact(weights.begin(), weights.end());
  for (std::size_t i = 0; i != n; ++i)
    if (metric.dead(i)) exact[metric.column(i)] = 0;
  const auto grids_of = [&](std::span<const double> of) {
    if (options.clipped) return clipped_grids<Weight>(of, {});
    return ranged_grids<Weight>(of);
  };
  const bool fixed = options.activation_order || Weight::shares_scales;
  rounded_row row{{}, grids_of(exact), 0};
  row.codes = detail::round_with_feedback<Weight>(metric, exact, [&](std::size_t k, const std::vector<double>& w) {
    simd::grid& g = row.grids[k / size];
    if (!fixed && k % size == 0) g = grids_of(std::span(w).subspan(k, std::min(size, n - k))).front();
    return g;
  });
  return row;
}

/// GPTQ for a whole model, input by input: the moments of each come from the model with everything before it
/// quantized, and its layers' weights, smoothed, are rounded by `gptq_row`; the masters become the centers of their
/// cells. `progress(block, blocks)` is called before each block. Returns the greatest damping that was needed. Throws
/// as `require_can_initialize` and `gptq_metric` do. Cost: what `fit_inputs_in_order` takes, 5/3 in³ operations for
/// each input and in² for each output channel.
template <simd::kernels Kernels = simd::default_kernels, nn::model Model, executor Executor, class Progress>
double gptq(Model& model, std::span<const nn::token_batch> corpus, Executor& threads, const gptq_options& options,
            Progress&& progress) {
  using scheme = typename Model::scheme;
  static_assert(holds_grids<scheme>,
                "ptq::gptq: the grids it finds need a place of their own: give quant::weight the clipping policy "
                "quant::clip::codes, and a granularity other than per_tensor");
  require_can_initialize(model, "gptq");
  double damping = options.damping;
  fit_inputs_in_order<Kernels>(model, corpus, threads, progress, [&](auto&& input, const matrix<double>& moments) {
    const gptq_metric metric(moments, options);
    damping = std::max(damping, metric.damping());
    for (auto* layer : input.layers) {
      const matrix<double> weights = detail::smoothed_weights(*layer, *input.smoothing);
      std::vector<rounded_row> rows(weights.rows());
      threads.parallel_for(rows.size(), [&](std::size_t r) {
        rows[r] = gptq_row<typename scheme::weight_type>(metric, weights.row(r), options);
      });
      detail::set_codes(*layer, *input.smoothing, rows);
    }
  });
  return damping;
}

}  // namespace zoqat::ptq

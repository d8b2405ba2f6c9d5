// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/ptq/row_rounding.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Improves rows that were found one by one (ptq/row_rounding.hpp) as a whole: coordinate descent on
/// tr(H_O E H_I Eᵀ), over the codes and, in least squares, the step sizes of all rows, where E [rows, in] is what the
/// weights are off by, H_I the moment of the inputs and H_O [rows, rows] the metric of the outputs.
///
/// With all other rows as they are, the best of row r is the best for it alone of the weights
/// w_r + Σ_{i≠r} H_O[r, i] / H_O[r, r] · e_i: it takes up what the others are off by. So a sweep is one of
/// `row_rounding` for each row, with these weights.
template <class Weight>
class matrix_rounding {
 public:
  /// Most sweeps over all rows.
  static constexpr int sweeps = 6;

  /// `damping` is added to the diagonal of `outputs`, relative to its mean. Throws value_error for shapes that do not
  /// fit.
  matrix_rounding(const input_metric& inputs, matrix<double> outputs, matrix_view<const double> weights,
                  double damping)
      : inputs_(inputs), outputs_(std::move(outputs)), weights_(weights) {
    require(outputs_.rows() == weights.rows() && outputs_.cols() == weights.rows(),
            "matrix_rounding: weights [{}, {}] with a metric [{}, {}] of their outputs", weights.rows(),
            weights.cols(), outputs_.rows(), outputs_.cols());
    double mean = 0;
    for (std::size_t i = 0; i != outputs_.rows(); ++i) mean += outputs_(i, i) / static_cast<double>(outputs_.rows());
    for (std::size_t i = 0; i != outputs_.rows(); ++i) outputs_(i, i) += mean > 0 ? damping * mean : 1.0;
  }

  /// Improves all rows. Cost of a sweep: rows · (rows · in + 4 in²) operations, in double.
  void operator()(std::span<rounded_row> rows) const {
    matrix<double> errors(weights_.rows(), weights_.cols());
    for (std::size_t r = 0; r != rows.size(); ++r) set_error(errors, r, rows[r]);
    for (int sweep = 0; sweep != sweeps; ++sweep) {
      bool moved = false;
      for (std::size_t r = 0; r != rows.size(); ++r) {
        std::vector<double> target(weights_.row(r).begin(), weights_.row(r).end());
        for (std::size_t i = 0; i != rows.size(); ++i)
          if (i != r) detail::add_scaled(errors.row(i), outputs_(r, i) / outputs_(r, r), target);
        moved |= row_rounding<Weight>(inputs_, target).improve(rows[r]);
        set_error(errors, r, rows[r]);
      }
      if (!moved) break;
    }
  }
  /// tr(H_O E H_I Eᵀ), with the damping of both.
  [[nodiscard]] double error(std::span<const rounded_row> rows) const {
    matrix<double> errors(weights_.rows(), weights_.cols()), moved(weights_.rows(), weights_.cols(), 0.0);
    for (std::size_t r = 0; r != rows.size(); ++r) set_error(errors, r, rows[r]);
    for (std::size_t r = 0; r != rows.size(); ++r)
      for (std::size_t k = 0; k != weights_.cols(); ++k)
        detail::add_scaled(inputs_.moment.row(k), errors(r, k), moved.row(r));
    double total = 0;
    for (std::size_t r = 0; r != rows.size(); ++r)
      for (std::size_t i = 0; i != rows.size(); ++i)
        for (std::size_t k = 0; k != weights_.cols(); ++k) total += outputs_(r, i) * errors(r, k) * moved(i, k);
    return total;
  }

 private:
  void set_error(matrix<double>& errors, std::size_t r, const rounded_row& row) const {
    const std::vector<double> error = row_rounding<Weight>(inputs_, weights_.row(r)).error_vector(row);
    std::ranges::copy(error, errors.row(r).begin());
  }

  const input_metric& inputs_;
  matrix<double> outputs_;
  matrix_view<const double> weights_;
};

}  // namespace zoqat::ptq

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/ptq/moments.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// Gathers the second moments of what a matrix is multiplied with, E[x xᵀ], while a host runs its own forward pass
/// over calibration data: all that reconstruct_matrix (ptq/reconstruct_matrix.hpp) has to know of the data.
/// Memory: in² doubles and 256 rows of inputs. Cost: 2 in² operations for each row.
class input_moments {
 public:
  explicit input_moments(std::size_t in_features)
      : sums_(in_features, in_features, 0.0), pending_(at_a_time, in_features) {}

  [[nodiscard]] std::size_t in_features() const noexcept { return sums_.cols(); }
  /// Rows seen.
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }

  /// Adds one input [in_features]. Throws value_error for another length and for numbers that are not finite.
  void add(std::span<const float> x) {
    require(x.size() == in_features(), "input_moments: an input of {} elements, where {} were expected", x.size(),
            in_features());
    for (std::size_t i = 0; i != x.size(); ++i)
      require(std::isfinite(x[i]), "input_moments: element {} of input {} is {}", i, rows_, x[i]);
    std::ranges::copy(x, pending_.row(rows_ % at_a_time).begin());
    if (++rows_ % at_a_time == 0) add_pending(at_a_time);
  }
  /// Adds inputs [rows, in_features].
  void add(matrix_view<const float> x) {
    require(x.cols() == in_features(), "input_moments: inputs [{}, {}], where rows of {} were expected", x.rows(),
            x.cols(), in_features());
    for (std::size_t r = 0; r != x.rows(); ++r) add(x.row(r));
  }

  /// E[x xᵀ] of the inputs so far: [in_features, in_features]. Throws value_error where there are none.
  [[nodiscard]] matrix<double> mean() const {
    require(rows_ != 0, "input_moments: no inputs were added");
    input_moments all = *this;
    all.add_pending(rows_ % at_a_time);
    for (double& v : all.sums_.flat()) v /= static_cast<double>(rows_);
    return std::move(all.sums_);
  }

 private:
  static constexpr std::size_t at_a_time = 256;

  void add_pending(std::size_t count) {
    sequential here;
    const matrix_view<const float> rows = pending_.view().row_block(0, count);
    add_moments(rows, rows, sums_, here);
  }

  matrix<double> sums_;
  matrix<float> pending_;
  std::size_t rows_ = 0;
};

}  // namespace zoqat::ptq

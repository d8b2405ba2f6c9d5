// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>

#include <cmath>
#include <cstddef>

namespace zoqat::inline ZOQAT_ABI::ptq {

/// The lower triangle L with L Lᵀ = m, for a symmetric positive definite m; the rest is zero. n³/3 operations.
/// Throws value_error if m is not positive definite, which damping its diagonal prevents.
[[nodiscard]] inline matrix<double> cholesky(const matrix<double>& m) {
  const std::size_t n = m.rows();
  require(m.cols() == n, "cholesky: a matrix [{}, {}] is not square", n, m.cols());
  matrix<double> l(n, n, 0.0);
  for (std::size_t i = 0; i != n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double rest = m(i, j);
      for (std::size_t k = 0; k != j; ++k) rest -= l(i, k) * l(j, k);
      if (i != j) {
        l(i, j) = rest / l(j, j);
        continue;
      }
      require(rest > 0, "cholesky: pivot {} of {} is {}; the moments are singular, damp them more", i, n, rest);
      l(i, i) = std::sqrt(rest);
    }
  return l;
}

/// The upper triangle U with Uᵀ U = m, which is the transpose of `cholesky(m)`. The same cost and errors.
[[nodiscard]] inline matrix<double> upper_cholesky(const matrix<double>& m) {
  const matrix<double> lower = cholesky(m);
  matrix<double> upper(m.rows(), m.cols());
  for (std::size_t i = 0; i != m.rows(); ++i)
    for (std::size_t j = 0; j != m.cols(); ++j) upper(i, j) = lower(j, i);
  return upper;
}

/// m⁻¹ from the Cholesky factor of m. n³ operations.
[[nodiscard]] inline matrix<double> inverse_from_cholesky(const matrix<double>& l) {
  const std::size_t n = l.rows();
  matrix<double> inverse(n, n, 0.0);
  for (std::size_t column = 0; column != n; ++column) {
    const auto x = inverse.row(column);  // symmetric: a column of the inverse is a row of it
    for (std::size_t i = 0; i != n; ++i) {
      double rest = i == column ? 1.0 : 0.0;
      for (std::size_t k = 0; k != i; ++k) rest -= l(i, k) * x[k];
      x[i] = rest / l(i, i);
    }
    for (std::size_t i = n; i-- > 0;) {
      double rest = x[i];
      for (std::size_t k = i + 1; k != n; ++k) rest -= l(k, i) * x[k];
      x[i] = rest / l(i, i);
    }
  }
  return inverse;
}

}  // namespace zoqat::ptq

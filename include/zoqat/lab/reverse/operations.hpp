// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/lab/reverse/tape.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::lab::reverse {

namespace detail {

inline void require_same_shape(const char* operation, const matrix<double>& a, const matrix<double>& b) {
  require(a.rows() == b.rows() && a.cols() == b.cols(), "{}: [{}, {}] and [{}, {}] are of different shapes",
          operation, a.rows(), a.cols(), b.rows(), b.cols());
}
inline void require_row(const char* operation, const matrix<double>& x, const matrix<double>& row) {
  require(row.rows() == 1 && row.cols() == x.cols(), "{}: [{}, {}] with a row [{}, {}]", operation, x.rows(),
          x.cols(), row.rows(), row.cols());
}
[[nodiscard]] inline matrix<double> transposed(const matrix<double>& x) {
  matrix<double> result(x.cols(), x.rows());
  for (std::size_t i = 0; i != x.rows(); ++i)
    for (std::size_t j = 0; j != x.cols(); ++j) result(j, i) = x(i, j);
  return result;
}
/// out += a b.
inline void add_product(const matrix<double>& a, const matrix<double>& b, matrix<double>& out) {
  for (std::size_t i = 0; i != a.rows(); ++i)
    for (std::size_t k = 0; k != a.cols(); ++k) {
      const double factor = a(i, k), *const from = b.row(k).data();
      double* const to = out.row(i).data();
      for (std::size_t j = 0; j != b.cols(); ++j) to[j] += factor * from[j];
    }
}

}  // namespace detail

/// x wᵀ [rows, out] of x [rows, in] and w [out, in].
[[nodiscard]] inline variable product(tape& t, variable x, variable w) {
  require(x->value.cols() == w->value.cols(), "product: inputs [{}, {}] for weights [{}, {}]", x->value.rows(),
          x->value.cols(), w->value.rows(), w->value.cols());
  matrix<double> value(x->value.rows(), w->value.rows(), 0.0);
  detail::add_product(x->value, detail::transposed(w->value), value);
  return t.operation(std::move(value), [x, w](const node& result) {
    detail::add_product(result.gradient, w->value, x->gradient);
    detail::add_product(detail::transposed(result.gradient), x->value, w->gradient);
  });
}

/// a + b.
[[nodiscard]] inline variable add(tape& t, variable a, variable b) {
  detail::require_same_shape("add", a->value, b->value);
  matrix<double> value = a->value;
  for (std::size_t i = 0; i != value.size(); ++i) value.data()[i] += b->value.data()[i];
  return t.operation(std::move(value), [a, b](const node& result) {
    for (std::size_t i = 0; i != result.value.size(); ++i) {
      a->gradient.data()[i] += result.gradient.data()[i];
      b->gradient.data()[i] += result.gradient.data()[i];
    }
  });
}

/// a ⊙ b.
[[nodiscard]] inline variable multiply(tape& t, variable a, variable b) {
  detail::require_same_shape("multiply", a->value, b->value);
  matrix<double> value = a->value;
  for (std::size_t i = 0; i != value.size(); ++i) value.data()[i] *= b->value.data()[i];
  return t.operation(std::move(value), [a, b](const node& result) {
    for (std::size_t i = 0; i != result.value.size(); ++i) {
      a->gradient.data()[i] += result.gradient.data()[i] * b->value.data()[i];
      b->gradient.data()[i] += result.gradient.data()[i] * a->value.data()[i];
    }
  });
}

/// Every row of x [rows, n] plus factor · `row` [1, n].
[[nodiscard]] inline variable add_row(tape& t, variable x, variable row, double factor = 1) {
  detail::require_row("add_row", x->value, row->value);
  matrix<double> value = x->value;
  for (std::size_t i = 0; i != value.rows(); ++i)
    for (std::size_t j = 0; j != value.cols(); ++j) value(i, j) += factor * row->value(0, j);
  return t.operation(std::move(value), [x, row, factor](const node& result) {
    for (std::size_t i = 0; i != result.value.rows(); ++i)
      for (std::size_t j = 0; j != result.value.cols(); ++j) {
        x->gradient(i, j) += result.gradient(i, j);
        row->gradient(0, j) += factor * result.gradient(i, j);
      }
  });
}

/// Every row of x [rows, n] times `row` [1, n], element by element.
[[nodiscard]] inline variable multiply_row(tape& t, variable x, variable row) {
  detail::require_row("multiply_row", x->value, row->value);
  matrix<double> value = x->value;
  for (std::size_t i = 0; i != value.rows(); ++i)
    for (std::size_t j = 0; j != value.cols(); ++j) value(i, j) *= row->value(0, j);
  return t.operation(std::move(value), [x, row](const node& result) {
    for (std::size_t i = 0; i != result.value.rows(); ++i)
      for (std::size_t j = 0; j != result.value.cols(); ++j) {
        x->gradient(i, j) += result.gradient(i, j) * row->value(0, j);
        row->gradient(0, j) += result.gradient(i, j) * x->value(i, j);
      }
  });
}

/// f of every element; `f(x)` gives its value and its derivative.
template <class F>
[[nodiscard]] variable map(tape& t, variable x, F&& f) {
  matrix<double> value(x->value.rows(), x->value.cols()), slope = value;
  for (std::size_t i = 0; i != value.size(); ++i) {
    const std::pair<double, double> at = f(x->value.data()[i]);
    value.data()[i] = at.first, slope.data()[i] = at.second;
  }
  return t.operation(std::move(value), [x, slope = std::move(slope)](const node& result) {
    for (std::size_t i = 0; i != slope.size(); ++i)
      x->gradient.data()[i] += slope.data()[i] * result.gradient.data()[i];
  });
}
/// exp(factor · x) of every element.
[[nodiscard]] inline variable exponential(tape& t, variable x, double factor = 1) {
  return map(t, x, [factor](double v) {
    const double e = std::exp(factor * v);
    return std::pair(e, factor * e);
  });
}

/// Elements of x in another order, some of them several times or not at all: element i of the result [rows, cols] is
/// element `from[i]` of x. Copies of one element, parts of a matrix and other shapes are all of this kind.
[[nodiscard]] inline variable take(tape& t, variable x, std::size_t rows, std::size_t cols,
                                   std::vector<std::size_t> from) {
  require(from.size() == rows * cols && std::ranges::all_of(from, [&](auto i) { return i < x->value.size(); }),
          "take: {} places in [{}, {}] for a result [{}, {}]", from.size(), x->value.rows(), x->value.cols(), rows,
          cols);
  matrix<double> value(rows, cols);
  for (std::size_t i = 0; i != from.size(); ++i) value.data()[i] = x->value.data()[from[i]];
  return t.operation(std::move(value), [x, from = std::move(from)](const node& result) {
    for (std::size_t i = 0; i != from.size(); ++i) x->gradient.data()[from[i]] += result.gradient.data()[i];
  });
}
/// Some rows of x.
[[nodiscard]] inline variable take_rows(tape& t, variable x, const std::vector<std::size_t>& rows) {
  const std::size_t cols = x->value.cols();
  std::vector<std::size_t> from;
  for (const std::size_t row : rows)
    for (std::size_t j = 0; j != cols; ++j) from.push_back(row * cols + j);
  return take(t, x, rows.size(), cols, std::move(from));
}
/// x as [rows, cols], as it lies.
[[nodiscard]] inline variable reshape(tape& t, variable x, std::size_t rows, std::size_t cols) {
  std::vector<std::size_t> all(x->value.size());
  for (std::size_t i = 0; i != all.size(); ++i) all[i] = i;
  return take(t, x, rows, cols, std::move(all));
}

/// x · gain / √(mean(x²) + ε) over each row: x [rows, n], gain [1, n].
[[nodiscard]] inline variable rms_norm(tape& t, variable x, variable gain, double epsilon) {
  detail::require_row("rms_norm", x->value, gain->value);
  const auto n = static_cast<double>(x->value.cols());
  matrix<double> value = x->value;
  std::vector<double> factors(value.rows());
  for (std::size_t i = 0; i != value.rows(); ++i) {
    double squares = 0;
    for (const double v : value.row(i)) squares += v * v;
    factors[i] = 1 / std::sqrt(squares / n + epsilon);
    for (std::size_t j = 0; j != value.cols(); ++j) value(i, j) *= factors[i] * gain->value(0, j);
  }
  return t.operation(std::move(value), [x, gain, n, factors = std::move(factors)](const node& result) {
    for (std::size_t i = 0; i != result.value.rows(); ++i) {
      const double factor = factors[i];
      double along = 0;
      for (std::size_t j = 0; j != result.value.cols(); ++j) {
        along += result.gradient(i, j) * gain->value(0, j) * x->value(i, j);
        gain->gradient(0, j) += result.gradient(i, j) * factor * x->value(i, j);
      }
      for (std::size_t j = 0; j != result.value.cols(); ++j)
        x->gradient(i, j) +=
            factor * (result.gradient(i, j) * gain->value(0, j) - factor * factor * x->value(i, j) * along / n);
    }
  });
}

/// x less its mean over each row.
[[nodiscard]] inline variable center(tape& t, variable x) {
  const auto less_mean = [](const matrix<double>& from, matrix<double>& to) {
    for (std::size_t i = 0; i != from.rows(); ++i) {
      double mean = 0;
      for (const double v : from.row(i)) mean += v / static_cast<double>(from.cols());
      for (std::size_t j = 0; j != from.cols(); ++j) to(i, j) += from(i, j) - mean;
    }
  };
  matrix<double> value(x->value.rows(), x->value.cols(), 0.0);
  less_mean(x->value, value);
  return t.operation(std::move(value), [x, less_mean](const node& r) { less_mean(r.gradient, x->gradient); });
}

}  // namespace zoqat::lab::reverse

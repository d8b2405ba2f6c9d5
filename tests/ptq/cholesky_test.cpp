// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/cholesky.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

matrix<double> product(const matrix<double>& a, const matrix<double>& b, bool transpose_b) {
  const std::size_t n = a.rows();
  matrix<double> c(n, n, 0.0);
  for (std::size_t i = 0; i != n; ++i)
    for (std::size_t j = 0; j != n; ++j)
      for (std::size_t k = 0; k != n; ++k) c(i, j) += a(i, k) * (transpose_b ? b(j, k) : b(k, j));
  return c;
}
/// Symmetric and positive definite.
matrix<double> definite(std::size_t n) {
  const auto values = random_floats(n * n, 1);
  matrix<double> a(n, n);
  std::ranges::copy(values, a.data());
  matrix<double> m = product(a, a, true);
  for (std::size_t i = 0; i != n; ++i) m(i, i) += 0.1;
  return m;
}

}  // namespace

TEST_CASE("the factor and the inverse are what their names say") {
  for (const std::size_t n : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{13}}) {
    const auto m = definite(n), l = ptq::cholesky(m), u = ptq::upper_cholesky(m), back = product(l, l, true);
    const auto identity = product(m, ptq::inverse_from_cholesky(l), false);
    for (std::size_t i = 0; i != n; ++i)
      for (std::size_t j = 0; j != n; ++j) {
        CHECK(back(i, j) == doctest::Approx(m(i, j)).epsilon(1e-12));
        CHECK(std::abs(identity(i, j) - (i == j ? 1.0 : 0.0)) < 1e-9);
        if (j > i) CHECK(l(i, j) == 0);
        CHECK(u(j, i) == l(i, j));
      }
  }
}

TEST_CASE("a matrix that is not positive definite is refused with the pivot") {
  const auto failure = [](const matrix<double>& m) {
    return message_of<value_error>([&] { static_cast<void>(ptq::cholesky(m)); });
  };
  check_mentions(failure(matrix<double>(3, 3, 1.0)), "pivot 1 of 3 is 0", "damp");  // rank 1
  auto m = definite(4);
  m(2, 2) = -1;
  check_mentions(failure(m), "pivot 2 of 4 is -");
  m = definite(4);
  m(3, 0) = std::numeric_limits<double>::quiet_NaN();
  check_mentions(failure(m), "pivot 3 of 4 is ", "nan;");  // of either sign, as the compiler orders the operands
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/reconstruct_matrix.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/quant/fake_quantize.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

/// Inputs that have much in common, as a network's have.
matrix<float> inputs(std::size_t rows, std::size_t n) {
  auto x = random_matrix(rows, n, 1);
  const auto common = random_matrix(rows, 2, 2, 2), mix = random_matrix(2, n, 3);
  for (std::size_t r = 0; r != rows; ++r)
    for (std::size_t k = 0; k != n; ++k) x(r, k) += common(r, 0) * mix(0, k) + common(r, 1) * mix(1, k);
  return x;
}
/// The mean square of what the outputs of two matrices differ by: by the definition, over the inputs themselves.
double output_error(const matrix<float>& w, const matrix<float>& q, const matrix<float>& x) {
  double total = 0;
  for (std::size_t r = 0; r != x.rows(); ++r)
    for (std::size_t o = 0; o != w.rows(); ++o) {
      double off = 0;
      for (std::size_t k = 0; k != w.cols(); ++k) off += (double{w(o, k)} - double{q(o, k)}) * double{x(r, k)};
      total += off * off / static_cast<double>(x.rows());
    }
  return total;
}

}  // namespace

using three = weight<3>;
using four_in_groups = weight<4, group<16>, asymmetric, clip::none, fp16_scale>;
using even = weight<3, group<16>, symmetric>;

TEST_CASE_TEMPLATE("outputs change less than by rounding to nearest, and as much as is said", Weight, three,
                   four_in_groups, even) {
  const auto w = random_matrix(21, 40, 5), x = inputs(300, 40);
  ptq::input_moments moments(40);
  moments.add(x);
  thread_pool threads(3);
  const auto found = ptq::reconstruct_matrix<Weight>(w.view(), moments, threads);
  matrix<float> nearest(21, 40);
  fake_quantize<Weight>(w, nearest);
  CHECK(found.error == doctest::Approx(output_error(w, found.values, x)).epsilon(1e-4));
  CHECK(found.error < 0.5 * output_error(w, nearest, x));

  // The parts belong together, and no row depends on another or on the threads.
  const auto unpacked = dequantize(found.packed);
  CHECK(std::ranges::equal(unpacked.flat(), found.values.flat()));
  const ptq::input_metric metric(moments.mean(), 0.01);
  for (const std::size_t row : {std::size_t{0}, std::size_t{15}, std::size_t{20}}) {
    const std::vector<double> exact(w.row(row).begin(), w.row(row).end());
    const auto expected = ptq::row_rounding<Weight>(metric, exact)();
    std::vector<std::uint8_t> codes(40);
    found.packed.codes(row, codes.data());
    CHECK(codes == expected.codes);
    for (std::size_t g = 0; g != expected.grids.size(); ++g) CHECK(found.packed.grid(row, g) == expected.grids[g]);
  }
}

TEST_CASE("what does not fit is an error that says what") {
  auto w = random_matrix(4, 6, 1);
  const auto failure = [&](matrix<double> moments) {
    return message_of<value_error>(
        [&] { static_cast<void>(ptq::reconstruct_matrix<three>(w.view(), std::move(moments))); });
  };
  check_mentions(failure(matrix<double>(5, 5, 1.0)), "[4, 6]", "[5, 5]", "[6, 6]");
  check_mentions(failure(matrix<double>(6, 5, 1.0)), "[6, 5]");
  matrix<double> odd(6, 6, 1.0);
  odd(2, 3) = std::numeric_limits<double>::infinity();
  check_mentions(failure(odd), "moment (2, 3)", "inf");
  w(3, 1) = std::numeric_limits<float>::quiet_NaN();
  check_mentions(failure(matrix<double>(6, 6, 1.0)), "weight (3, 1)", "nan");
  CHECK(ptq::reconstruct_matrix<three>(matrix_view<const float>(nullptr, 0, 0), matrix<double>()).packed.empty());
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/matrix_rounding.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using per_row = weight<2, per_channel, asymmetric, clip::codes>;
using grouped = weight<3, group<5>, asymmetric, clip::codes>;

/// x xᵀ of a random x [n, rank], with `diagonal` added.
matrix<double> random_moments(std::size_t n, std::size_t rank, std::uint32_t name, double diagonal = 0.1) {
  const matrix<float> x = random_matrix(n, rank, name);
  matrix<double> h(n, n, 0.0);
  for (std::size_t i = 0; i != n; ++i) {
    h(i, i) = diagonal;
    for (std::size_t j = 0; j != n; ++j)
      for (std::size_t k = 0; k != rank; ++k) h(i, j) += double{x(i, k)} * double{x(j, k)};
  }
  return h;
}
matrix<double> random_weights(std::size_t rows, std::size_t in) {
  const matrix<float> w = random_matrix(rows, in, 40);
  matrix<double> result(rows, in);
  for (std::size_t i = 0; i != w.size(); ++i) result.data()[i] = double{w.data()[i]};
  return result;
}
template <class Weight>
std::vector<ptq::rounded_row> rows_of(const ptq::input_metric& inputs, const matrix<double>& weights) {
  std::vector<ptq::rounded_row> rows;
  for (std::size_t r = 0; r != weights.rows(); ++r)
    rows.push_back(ptq::row_rounding<Weight>(inputs, weights.row(r))());
  return rows;
}
/// tr(H_O E H_I Eᵀ), as it is written.
template <class Weight>
double trace(const ptq::input_metric& inputs, const matrix<double>& outputs, const matrix<double>& weights,
             std::span<const ptq::rounded_row> rows) {
  const std::size_t n = weights.cols();
  matrix<double> e(rows.size(), n);
  for (std::size_t r = 0; r != rows.size(); ++r)
    for (std::size_t k = 0; k != n; ++k) {
      const simd::grid& g = rows[r].grids[k / Weight::group_size(n)];
      e(r, k) = weights(r, k) - double{g.scale} * (rows[r].codes[k] - g.zero_point);
    }
  double total = 0;
  for (std::size_t r = 0; r != rows.size(); ++r)
    for (std::size_t i = 0; i != rows.size(); ++i)
      for (std::size_t k = 0; k != n; ++k)
        for (std::size_t j = 0; j != n; ++j) total += outputs(r, i) * e(i, k) * inputs.moment(k, j) * e(r, j);
  return total;
}

}  // namespace

TEST_CASE_TEMPLATE("rows that are rounded together keep what they write together", Weight, per_row, grouped) {
  constexpr std::size_t count = 9, in = 17;
  const ptq::input_metric inputs(random_moments(in, 6, 1), 0.01);
  const matrix<double> outputs = random_moments(count, 2, 2), weights = random_weights(count, in);
  const auto alone = rows_of<Weight>(inputs, weights);
  auto together = alone;
  const ptq::matrix_rounding<Weight> rounding(inputs, outputs, weights, 0);
  rounding(together);

  const double before = trace<Weight>(inputs, outputs, weights, alone),
               after = trace<Weight>(inputs, outputs, weights, together);
  CAPTURE(before);
  CHECK(after < 0.7 * before);
  CHECK(rounding.error(alone) == doctest::Approx(before).epsilon(1e-9));
  CHECK(rounding.error(together) == doctest::Approx(after).epsilon(1e-9));
}

TEST_CASE("no code of a small matrix can be bettered once it has come to rest") {
  constexpr std::size_t count = 3, in = 6;
  const ptq::input_metric inputs(random_moments(in, 3, 1), 0.01);
  const matrix<double> outputs = random_moments(count, 2, 2), weights = random_weights(count, in);
  auto rows = rows_of<per_row>(inputs, weights);
  const ptq::matrix_rounding<per_row> rounding(inputs, outputs, weights, 0);
  for (int i = 0; i != 10; ++i) rounding(rows);
  const double found = trace<per_row>(inputs, outputs, weights, rows);
  for (std::size_t r = 0; r != count; ++r)
    for (std::size_t k = 0; k != in; ++k)
      for (std::uint8_t code = 0; code != 4; ++code) {
        auto changed = rows;
        changed[r].codes[k] = code;
        CHECK(trace<per_row>(inputs, outputs, weights, changed) > found - 1e-9);
      }
}

TEST_CASE("under the identity rows stay as they were found") {
  constexpr std::size_t count = 4, in = 12;
  const ptq::input_metric inputs(random_moments(in, 5, 1), 0.01);
  const matrix<double> weights = random_weights(count, in);
  matrix<double> identity(count, count, 0.0);
  for (std::size_t i = 0; i != count; ++i) identity(i, i) = 1;
  const auto alone = rows_of<per_row>(inputs, weights);
  auto together = alone;
  ptq::matrix_rounding<per_row>(inputs, identity, weights, 0.05)(together);
  for (std::size_t r = 0; r != count; ++r) CHECK(together[r].codes == alone[r].codes);
}

TEST_CASE("a metric of other outputs is refused") {
  const ptq::input_metric inputs(random_moments(5, 3, 1), 0.01);
  const matrix<double> weights = random_weights(4, 5);
  check_mentions(
      message_of<value_error>([&] { ptq::matrix_rounding<per_row>(inputs, random_moments(3, 2, 2), weights, 0); }),
      "weights [4, 5]", "metric [3, 3]");
}

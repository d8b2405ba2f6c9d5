// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/gptq.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/moments.hpp>
#include <support/random_model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using fine = weight<4, per_channel, asymmetric, clip::codes>;
using coarse = weight<2, group<8>, asymmetric, clip::codes>;
using shared = weight<3, group<16>, signed_symmetric, clip::codes, shared_scale<31>>;

constexpr std::size_t width = 21;

/// Of inputs of different sizes.
matrix<double> correlated() { return correlated_moments(width, true); }
std::vector<double> random_weights(std::uint32_t name) {
  const auto values = random_floats(width, 100 + name);
  return {values.begin(), values.end()};
}

/// By Gauss and Jordan.
matrix<double> inverse_of(matrix<double> m) {
  const std::size_t n = m.rows();
  matrix<double> inverse(n, n, 0.0);
  for (std::size_t i = 0; i != n; ++i) inverse(i, i) = 1;
  for (std::size_t i = 0; i != n; ++i) {
    const double pivot = m(i, i);
    for (std::size_t j = 0; j != n; ++j) m(i, j) /= pivot, inverse(i, j) /= pivot;
    for (std::size_t r = 0; r != n; ++r) {
      const double factor = r == i ? 0 : m(r, i);
      for (std::size_t j = 0; j != n; ++j) m(r, j) -= factor * m(i, j), inverse(r, j) -= factor * inverse(i, j);
    }
  }
  return inverse;
}

template <class Weight>
std::vector<simd::grid> grids_of(std::span<const double> weights, bool clipped) {
  return clipped ? ptq::clipped_grids<Weight>(weights, {}) : ptq::ranged_grids<Weight>(weights);
}

/// Optimal brain quantization in a given order, as it is defined: before each weight is rounded, the inverse of the
/// moments of all weights that are left is computed anew, and these make up for its error. O(n⁴).
template <class Weight>
ptq::rounded_row brain_surgeon(matrix<double> h, std::vector<double> w, const ptq::gptq_options& options) {
  const std::size_t n = w.size(), size = Weight::group_size(n);
  double mean = 0;
  for (std::size_t i = 0; i != n; ++i) mean += h(i, i) / static_cast<double>(n);
  std::vector<std::size_t> left(n);
  std::iota(left.begin(), left.end(), std::size_t{0});
  if (options.activation_order) std::ranges::stable_sort(left, [&](auto a, auto b) { return h(a, a) > h(b, b); });
  for (std::size_t i = 0; i != n; ++i) h(i, i) += options.damping * mean;
  ptq::rounded_row row{std::vector<std::uint8_t>(n), grids_of<Weight>(w, options.clipped), 0};
  for (; !left.empty(); left.erase(left.begin())) {
    const std::size_t k = left.front();
    if (!options.activation_order && !Weight::shares_scales && k % size == 0)
      row.grids[k / size] = grids_of<Weight>(std::span(w).subspan(k, std::min(size, n - k)), options.clipped).front();
    const simd::grid& g = row.grids[k / size];
    const double code = std::nearbyint(w[k] / double{g.scale}) + g.zero_point;
    row.codes[k] = static_cast<std::uint8_t>(std::clamp(code, 0.0, double{(1 << Weight::bits) - 1}));
    matrix<double> of_left(left.size(), left.size());
    for (std::size_t i = 0; i != left.size(); ++i)
      for (std::size_t j = 0; j != left.size(); ++j) of_left(i, j) = h(left[i], left[j]);
    const matrix<double> inverse = inverse_of(std::move(of_left));
    const double error = (w[k] - double{g.scale} * (row.codes[k] - g.zero_point)) / inverse(0, 0);
    for (std::size_t j = 0; j != left.size(); ++j) w[left[j]] -= error * inverse(0, j);
  }
  return row;
}

}  // namespace

TEST_CASE_TEMPLATE("rows are those of optimal brain quantization in the same order", Weight, fine, coarse, shared) {
  const matrix<double> h = correlated();
  for (const bool ordered : {true, false})
    for (const bool clipped : {true, false})
      for (const double damping : {0.01, 0.3}) {
        const ptq::gptq_options how{.damping = damping, .activation_order = ordered, .clipped = clipped};
        const ptq::gptq_metric metric(h, how);
        CHECK(metric.damping() == damping);
        for (std::uint32_t name = 0; name != 8; ++name) {
          const std::vector<double> w = random_weights(name);
          const ptq::rounded_row found = ptq::gptq_row<Weight>(metric, w, how);
          const ptq::rounded_row wanted = brain_surgeon<Weight>(h, w, how);
          CHECK(found.codes == wanted.codes);
          CHECK(std::ranges::equal(found.grids, wanted.grids, [](const simd::grid& a, const simd::grid& b) {
            return a.zero_point == b.zero_point && std::abs(a.scale - b.scale) <= 1e-6f * b.scale;
          }));
        }
      }
}

TEST_CASE("errors that are fed forward cost less than those of rounding to nearest, and clipped grids are others") {
  const matrix<double> h = correlated();
  const auto error_of = [&](const ptq::rounded_row& row, std::span<const double> w) {
    double total = 0;
    const auto off = [&](std::size_t k) {
      const simd::grid& g = row.grids[k / coarse::group_size(width)];
      return w[k] - double{g.scale} * (row.codes[k] - g.zero_point);
    };
    for (std::size_t i = 0; i != width; ++i)
      for (std::size_t j = 0; j != width; ++j) total += off(i) * h(i, j) * off(j);
    return total;
  };
  const ptq::gptq_options how{.clipped = false};
  matrix<double> diagonal(width, width, 0.0);  // without correlations nothing is fed forward
  for (std::size_t i = 0; i != width; ++i) diagonal(i, i) = h(i, i);
  double nearest = 0, fed = 0;
  bool clipping_matters = false;
  for (std::uint32_t name = 0; name != 16; ++name) {
    const std::vector<double> w = random_weights(name);
    const auto to_nearest = ptq::gptq_row<coarse>(ptq::gptq_metric(diagonal, how), w, how);
    for (std::size_t k = 0; k != width; ++k) {
      const simd::grid& g = to_nearest.grids[k / 8];
      const double code = std::clamp(std::nearbyint(w[k] / double{g.scale}) + g.zero_point, 0.0, 3.0);
      CHECK(to_nearest.codes[k] == static_cast<std::uint8_t>(code));
    }
    nearest += error_of(to_nearest, w);
    const auto found = ptq::gptq_row<coarse>(ptq::gptq_metric(h, how), w, how);
    fed += error_of(found, w);
    const auto clipped = ptq::gptq_row<coarse>(ptq::gptq_metric(h, how), w, {.clipped = true});
    clipping_matters |= found.grids != clipped.grids;
  }
  CHECK(fed < 0.7 * nearest);
  CHECK(clipping_matters);
}

TEST_CASE("an input that is always zero has weight zero, and all else is as it is without it") {
  const matrix<double> h = correlated();
  constexpr std::size_t dead = 5;
  matrix<double> silent = h;
  for (std::size_t i = 0; i != width; ++i) silent(i, dead) = silent(dead, i) = 0;
  std::vector<double> w = random_weights(1), other = w;
  w[dead] = 40;  // were it not dropped, it would take the whole grid
  other[dead] = 0;
  const ptq::gptq_options how;
  const ptq::gptq_metric metric(silent, how);
  const auto found = ptq::gptq_row<fine>(metric, w, how), wanted = ptq::gptq_row<fine>(metric, other, how);
  CHECK(found.codes == wanted.codes);
  CHECK(found.grids[0] == wanted.grids[0]);
  CHECK(found.codes[dead] == found.grids[0].zero_point);
}

TEST_CASE("moments that have no Cholesky factor get as much more damping as they need, and no more") {
  matrix<double> singular(width, width, 1.0);  // all inputs are the same
  const ptq::gptq_options none{.damping = 0};
  const ptq::gptq_metric mended(singular, none);
  CHECK(mended.damping() > 0);
  CHECK(mended.damping() <= 1e-6);
  const auto row = ptq::gptq_row<fine>(mended, random_weights(2), none);
  CHECK(row.codes.size() == width);

  matrix<double> indefinite = correlated();  // what sums in low precision may leave
  indefinite(0, 0) = -0.2 * correlated()(1, 1);
  for (std::size_t i = 1; i != width; ++i) indefinite(0, i) = indefinite(i, 0) = 0;
  const ptq::gptq_metric damped(indefinite, {});
  CHECK(damped.damping() > 0.01);
  CHECK(damped.damping() <= 1);
  CHECK(ptq::gptq_metric(correlated(), none).damping() == 0);
}

TEST_CASE("what no damping mends, and options that make no sense, are refused") {
  matrix<double> h = correlated();
  h(3, 4) = std::numeric_limits<double>::quiet_NaN();
  check_mentions(message_of<value_error>([&] { ptq::gptq_metric(h, {}); }), "21 inputs", "Cholesky", "finite");
  check_mentions(message_of<value_error>([&] { ptq::gptq_metric(correlated(), {.damping = -1}); }), "damping", "-1");
  check_mentions(message_of<value_error>([&] { ptq::gptq_metric(matrix<double>(2, 3), {}); }), "square", "[2, 3]");
  const ptq::gptq_metric metric(correlated(), {});
  check_mentions(message_of<value_error>([&] { (void)ptq::gptq_row<fine>(metric, std::vector<double>(4), {}); }),
                 "4 weights", "21 inputs");
}

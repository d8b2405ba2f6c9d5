// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/row_rounding.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/moments.hpp>
#include <support/random_model.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

std::vector<double> random_weights(std::size_t n, std::uint32_t name) {
  const auto values = random_floats(n, 100 + name);
  return {values.begin(), values.end()};
}

template <class Weight>
double value(const ptq::rounded_row& row, std::size_t k, std::size_t n) {
  const simd::grid& g = row.grids[k / Weight::group_size(n)];
  return double{g.scale} * (row.codes[k] - g.zero_point) - double{g.minimum};
}
template <class Weight>
double error_of(const ptq::rounded_row& row, std::span<const double> w, const matrix<double>& h) {
  double total = 0;
  for (std::size_t i = 0; i != w.size(); ++i)
    for (std::size_t j = 0; j != w.size(); ++j)
      total += (w[i] - value<Weight>(row, i, w.size())) * h(i, j) * (w[j] - value<Weight>(row, j, w.size()));
  return total;
}
template <class Weight>
ptq::rounded_row to_nearest(std::span<const double> w) {
  std::vector<float> row(w.begin(), w.end());
  ptq::rounded_row result{std::vector<std::uint8_t>(w.size()), std::vector<simd::grid>(Weight::groups(w.size())), 0};
  using plain = typename Weight::template with_clipping<clip::none>;
  quantize_row<plain, simd::reference>(row, nullptr, result.codes.data(), result.grids.data());
  return result;
}

/// GPTQ as it is published, on the grids of `start`: each weight is rounded, and those to come make up for it.
template <class Weight>
ptq::rounded_row gptq(ptq::rounded_row start, std::vector<double> w, const ptq::input_metric& metric) {
  for (std::size_t k = 0; k != w.size(); ++k) {
    const simd::grid& g = start.grids[k / Weight::group_size(w.size())];
    const double code = std::nearbyint((w[k] + double{g.minimum}) / double{g.scale}) + g.zero_point;
    start.codes[k] = static_cast<std::uint8_t>(std::clamp(code, 0.0, double{(1 << Weight::bits) - 1}));
    const double error = (w[k] - value<Weight>(start, k, w.size())) / metric.feedback(k, k);
    for (std::size_t j = k + 1; j < w.size(); ++j) w[j] -= error * metric.feedback(k, j);
  }
  return start;
}

using fine = weight<4, per_channel, asymmetric, clip::codes>;
using coarse = weight<2, per_channel, asymmetric, clip::codes>;
using even = weight<3, per_channel, symmetric, clip::codes>;
using grouped = weight<2, group<8>, asymmetric, clip::codes>;
using halves = weight<3, group<8>, asymmetric, clip::codes, fp16_scale>;
using either_side = weight<3, group<8>, signed_symmetric, clip::codes, fp16_scale>;
using sharing = weight<3, group<8>, signed_symmetric, clip::codes, shared_scale<31, 2>>;
using with_minima = weight<3, group<8>, with_minimum, clip::codes, fp16_scale>;
using sharing_minima = weight<2, group<8>, with_minimum, clip::codes, shared_scale<15, 2>>;

}  // namespace

TEST_CASE_TEMPLATE("the error falls from stage to stage and is what the row says", Weight, fine, coarse, even,
                   grouped, halves, either_side, sharing, with_minima, sharing_minima) {
  constexpr std::size_t n = 29;  // a ragged last group
  const ptq::input_metric metric(correlated_moments(n), 0.01);
  double nearest_total = 0, ranges_total = 0, gptq_total = 0, all_total = 0;
  for (std::uint32_t name = 0; name != 12; ++name) {
    const auto w = random_weights(n, name);
    const ptq::row_rounding<Weight> rounding(metric, w);
    const auto nearest = to_nearest<Weight>(w), ranges = rounding.ranges_only(), all = rounding();
    REQUIRE(all.codes.size() == n);
    REQUIRE(all.grids.size() == Weight::groups(n));
    CHECK(ranges.error == doctest::Approx(error_of<Weight>(ranges, w, metric.moment)).epsilon(1e-9));
    CHECK(all.error == doctest::Approx(error_of<Weight>(all, w, metric.moment)).epsilon(1e-9));
    if (Weight::groups(n) == 1)  // a group's range looks at the group alone
      CHECK(ranges.error <= error_of<Weight>(nearest, w, metric.moment) * (1 + 1e-9));
    CHECK(all.error <= ranges.error * (1 + 1e-9));
    if (Weight::groups(n) == 1 && std::same_as<typename Weight::scale_type, float>)  // no other step is better
      for (const float factor : {0.999f, 1.001f}) {
        ptq::rounded_row other = all;
        other.grids[0].scale *= factor;
        CHECK(error_of<Weight>(other, w, metric.moment) > all.error);
      }
    for (const std::uint8_t code : all.codes) CHECK(code < (1 << Weight::bits));
    for (const simd::grid& g : all.grids) {
      CHECK(g == scaled<Weight>(g, 1));  // can be stored
      CHECK(g.zero_point >= 0);
      CHECK(g.zero_point < (1 << Weight::bits));
    }
    std::vector<simd::grid> shared = all.grids;
    share_scales<Weight>(shared);
    CHECK(shared == all.grids);
    // Nor is another code, but for what the last change of the steps makes of it.
    for (std::size_t k = 0; k != n; ++k)
      for (const int change : {-1, 1}) {
        ptq::rounded_row other = all;
        const int code = all.codes[k] + change;
        if (code < 0 || code >= 1 << Weight::bits) continue;
        other.codes[k] = static_cast<std::uint8_t>(code);
        CHECK(error_of<Weight>(other, w, metric.moment) > 0.99 * all.error);
      }
    nearest_total += error_of<Weight>(nearest, w, metric.moment);
    ranges_total += ranges.error;
    gptq_total += error_of<Weight>(gptq<Weight>(ranges, w, metric), w, metric.moment);
    all_total += all.error;
  }
  CHECK(ranges_total < nearest_total);
  CHECK(gptq_total < ranges_total);  // what inputs have in common can be canceled
  CHECK(all_total < 0.9 * gptq_total);
}

TEST_CASE_TEMPLATE("weights that lie on a grid are found exactly", Weight, fine, grouped, halves, with_minima) {
  constexpr std::size_t n = 29, top = (1 << Weight::bits) - 1;
  std::vector<double> w(n);
  for (std::size_t k = 0; k != n; ++k) {
    const std::size_t in_group = k % Weight::group_size(n), code = in_group < 2 ? in_group * top : 7 * k % (top + 1);
    w[k] = 0.125 * (static_cast<double>(code) - 1);
  }
  const ptq::input_metric metric(correlated_moments(n), 0.01);
  const auto found = ptq::row_rounding<Weight>(metric, w)();
  CHECK(found.error == 0);
  for (std::size_t k = 0; k != n; ++k) CHECK(value<Weight>(found, k, n) == w[k]);
}

TEST_CASE("feedback is a factor of the inverse") {
  const std::size_t n = 7;
  const ptq::input_metric metric(correlated_moments(n), 0.1);
  double mean = 0;
  const auto h = correlated_moments(n);
  for (std::size_t i = 0; i != n; ++i) mean += h(i, i) / n;
  for (std::size_t i = 0; i != n; ++i)
    for (std::size_t j = 0; j != n; ++j) {
      double product = 0, square = 0;
      for (std::size_t k = 0; k != n; ++k) {
        product += metric.moment(i, k) * metric.inverse(k, j);
        square += metric.feedback(k, i) * metric.feedback(k, j);
      }
      CHECK(metric.moment(i, j) == doctest::Approx(h(i, j) + (i == j ? 0.1 * mean : 0)));
      CHECK(std::abs(product - (i == j ? 1 : 0)) < 1e-9);
      CHECK(square == doctest::Approx(metric.inverse(i, j)));
      if (j < i) CHECK(metric.feedback(i, j) == 0);
    }
}

TEST_CASE("dead inputs, a single input, weights of zero") {
  // Inputs that are always zero cost nothing and stop nothing.
  const ptq::input_metric dead(matrix<double>(3, 3, 0.0), 0.01);
  const std::vector<double> w{0.3, -0.2, 0.9};
  const auto row = ptq::row_rounding<fine>(dead, w)();
  for (std::size_t k = 0; k != 3; ++k) CHECK(value<fine>(row, k, 3) == doctest::Approx(w[k]).epsilon(0.05));

  const ptq::input_metric single(matrix<double>(1, 1, 2.0), 0.01);
  const std::vector<double> one{-0.7};
  CHECK(value<coarse>(ptq::row_rounding<coarse>(single, one)(), 0, 1) == doctest::Approx(-0.7));

  const std::vector<double> zeros(29, 0.0);
  const ptq::input_metric metric(correlated_moments(29), 0.01);
  const auto none = ptq::row_rounding<grouped>(metric, zeros)();
  CHECK(none.error == 0);
  for (std::size_t k = 0; k != 29; ++k) CHECK(value<grouped>(none, k, 29) == 0);
}

TEST_CASE("moments without damping that are singular are refused") {
  check_mentions(message_of<value_error>([] { ptq::input_metric(matrix<double>(3, 3, 1.0), 0); }), "pivot 1 of 3");
}

TEST_CASE("weights and moments of other sizes are refused") {
  check_mentions(message_of<value_error>([] { ptq::input_metric(matrix<double>(3, 4, 1.0), 0.01); }), "[3, 4]");
  check_mentions(message_of<value_error>([] { ptq::input_metric(matrix<double>(3, 3, 1.0), -1); }), "-1");
  const ptq::input_metric metric(correlated_moments(4), 0.01);
  const std::vector<double> w(5, 0.5);
  check_mentions(message_of<value_error>([&] { ptq::row_rounding<fine>(metric, w); }), "5 weights", "4 inputs");
  CHECK_THROWS_AS(static_cast<void>(ptq::cholesky(matrix<double>(2, 3, 1.0))), value_error);
}

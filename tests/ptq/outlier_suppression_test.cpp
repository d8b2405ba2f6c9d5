// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/outlier_suppression.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/linear.hpp>
#include <zoqat/nn/shared_input.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using w4a4 = quant::scheme<quant::weight<4, quant::per_channel, quant::asymmetric, quant::clip::codes>,
                           quant::activation<4>, quant::shift>;
constexpr std::size_t in = 12, out = 5, tokens = 40;
using dense = std::vector<std::vector<double>>;

/// Inputs of which two channels reach far, one of them to one side.
matrix<float> inputs() {
  matrix<float> x = random_matrix(tokens, in, 1);
  for (std::size_t r = 0; r != tokens; ++r) x(r, 3) *= 12, x(r, 8) = 20 + 6 * x(r, 8);
  return x;
}

/// Each row on the asymmetric grid of 16 codes over its range, zero included (equation 1).
dense quantized(dense rows) {
  for (auto& row : rows) {
    const double low = std::min(0.0, *std::ranges::min_element(row)), high = *std::ranges::max_element(row);
    const double step = (std::max(0.0, high) - low) / 15, zero = -std::nearbyint(low / step);
    for (double& v : row) v = step * (std::clamp(std::nearbyint(v / step) + zero, 0.0, 15.0) - zero);
  }
  return rows;
}

struct setup {
  nn::parameter_ids ids;
  nn::linear a{ids, "a", out, in}, b{ids, "b", out, in};
  nn::smoothed_linear<w4a4> qa{ids, "qa", out, in}, qb{ids, "qb", out, in};
  nn::smoothing smoothing{ids, "input", in, true};
  matrix<float> x = inputs();
  std::vector<ptq::channel_range> ranges{in};
  sequential threads;

  setup() {
    std::ranges::copy(random_floats(out * in, 2), a.weight().values().data());
    std::ranges::copy(random_floats(out * in, 3), b.weight().values().data());
    std::ranges::copy(a.weight().values().flat(), qa.weight().values().data());
    std::ranges::copy(b.weight().values().flat(), qb.weight().values().data());
    for (std::size_t r = 0; r != tokens; ++r)
      for (std::size_t j = 0; j != in; ++j) ranges[j].add({x(r, j), x(r, j)});
    ptq::init_shift(smoothing, ranges);
  }
  void search(std::size_t candidates) {
    const nn::shared_input<nn::smoothed_linear<w4a4>, 2> input{{&qa, &qb}, &smoothing, false};
    ptq::search_threshold<simd::default_kernels>(input, std::array<nn::linear*, 2>{&a, &b}, x, ranges, candidates,
                                                 threads);
  }
  [[nodiscard]] double reach(std::size_t j) const { return (double{ranges[j].max} - double{ranges[j].min}) / 2; }
  /// What both layers are off by with these scales, in plain loops over fake-quantized numbers.
  [[nodiscard]] double error(const std::vector<double>& s) {
    const auto middle = [&](std::size_t j) { return (double{ranges[j].max} + double{ranges[j].min}) / 2; };
    dense seen(tokens, std::vector<double>(in));
    for (std::size_t r = 0; r != tokens; ++r)
      for (std::size_t j = 0; j != in; ++j) seen[r][j] = (double{x(r, j)} - middle(j)) / s[j];
    seen = quantized(std::move(seen));
    double total = 0;
    for (const nn::linear* layer : {&a, &b}) {
      const auto& w = layer->weight().values();
      dense weights(out, std::vector<double>(in));
      for (std::size_t o = 0; o != out; ++o)
        for (std::size_t j = 0; j != in; ++j) weights[o][j] = double{w(o, j)} * s[j];
      weights = quantized(std::move(weights));
      for (std::size_t r = 0; r != tokens; ++r)
        for (std::size_t o = 0; o != out; ++o) {
          double off = 0;  // the bias takes δ back with the weights in full precision
          for (std::size_t j = 0; j != in; ++j)
            off += seen[r][j] * weights[o][j] + (middle(j) - double{x(r, j)}) * double{w(o, j)};
          total += off * off;
        }
    }
    return total;
  }
  [[nodiscard]] std::vector<double> scales_for(double threshold) const {
    std::vector<double> s(in);
    for (std::size_t j = 0; j != in; ++j) s[j] = std::max(1.0, reach(j) / threshold);
    return s;
  }
};

}  // namespace

TEST_CASE("a threshold scales what reaches beyond it, by as much as it does, once for channels that share") {
  setup s;
  ptq::init_threshold(s.smoothing, s.ranges, 2.0f);
  const std::vector<double> wanted = s.scales_for(2);
  for (std::size_t j = 0; j != in; ++j) {
    CHECK(std::exp(double{s.smoothing.log_scale().values()(0, j)}) == doctest::Approx(wanted[j]).epsilon(1e-5));
    CHECK((wanted[j] > 1) == (j == 3 || j == 8));
  }
  nn::smoothing shared(s.ids, "shared", 4, 1, 2);  // channels 0 1 and 2 3
  const std::array<ptq::channel_range, 4> ranges{{{-1, 3}, {-5, 2}, {0, 1}, {}}};
  ptq::init_threshold(shared, ranges, 2.5f);
  CHECK(double{shared.log_scale().values()(0, 0)} == doctest::Approx(std::log(2)));
  CHECK(shared.log_scale().values()(0, 1) == 0);
  check_mentions(message_of<value_error>([&] { ptq::init_threshold(shared, ranges, 0); }), "threshold", "0");
}

TEST_CASE("the search finds the threshold that an exhaustive search over plain loops finds") {
  setup s;
  constexpr std::size_t candidates = 25;
  double greatest = 0;
  for (std::size_t j = 0; j != in; ++j) greatest = std::max(greatest, s.reach(j));
  double least = std::numeric_limits<double>::infinity(), unscaled = 0;
  for (std::size_t c = 0; c != candidates; ++c) {
    const double error = s.error(s.scales_for(greatest * (1 - static_cast<double>(c) / candidates)));
    if (c == 0) unscaled = error;
    least = std::min(least, error);
  }
  s.search(candidates);
  std::vector<double> found(in);
  for (std::size_t j = 0; j != in; ++j) found[j] = std::exp(double{s.smoothing.log_scale().values()(0, j)});
  CHECK(least < 0.7 * unscaled);
  // A rounding that goes the other way in single precision moves an error a little.
  CHECK(s.error(found) == doctest::Approx(least).epsilon(0.01));

  // What the layers make of it, with grids of the smoothed weights, is what the plain loops say.
  const auto outputs = [&](const auto& layers, const nn::smoothing& by) {
    return ptq::detail::outputs_of<simd::default_kernels>(layers, s.x, by, s.threads);
  };
  const double made = ptq::detail::squared_difference(outputs(std::array{&s.qa, &s.qb}, s.smoothing),
                                                      outputs(std::array{&s.a, &s.b}, nn::smoothing{}));
  CHECK(made == doctest::Approx(least).epsilon(0.02));
}

TEST_CASE("an input of zeros is left alone") {
  setup s;
  std::ranges::fill(s.x.flat(), 0.0f);
  s.ranges.assign(in, ptq::channel_range{0, 0});
  ptq::init_shift(s.smoothing, s.ranges);
  s.search(10);
  for (const float v : s.smoothing.log_scale().values().flat()) CHECK(v == 0);
}

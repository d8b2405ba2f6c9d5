// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/quantized_regression.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <support/errors.hpp>
#include <zoqat/lab/ste.hpp>

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <numeric>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

const std::vector<double> inputs{0.5, -1, 0.25, 1, 0.75, -0.5, -0.25, 0.5, 1, -1, 0.25, 0.5};  // [4, 3]
const std::vector<double> targets{0.3, -0.8, 0.5, 0.1, -0.4, 0.9, 1.1, -0.2};                  // [4, 2]
const std::vector<float> master_weights{0.4f, -0.9f, 0.1f, 1.3f, -0.2f, 0.6f};

quantized_regression regression(const fixed_quantizer& q) { return {3, 2, inputs, targets, q}; }
std::vector<double> weights() { return {master_weights.begin(), master_weights.end()}; }

}  // namespace

TEST_CASE("loss and straight-through gradient are those of a network of one layer") {
  for (const fixed_quantizer& q : {fixed_quantizer{}, fixed_quantizer{.step = 0.5, .low = -1, .high = 2}}) {
    const quantized_regression f = regression(q);
    const ste_network network({3, 2}, inputs, targets, {.weights = q});
    CHECK(f.size() == network.size());
    CHECK(f(std::span<const float>(master_weights)) ==
          doctest::Approx(network(std::span<const float>(master_weights))));
    const std::vector<double> w = weights(), a = f.straight_through(w), b = network.gradient(w);
    for (std::size_t i = 0; i != a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-12));
  }
}

TEST_CASE("the smoothed gradient is the derivative of the smoothed loss") {
  const quantized_regression f = regression({.step = 0.5, .low = -2, .high = 2});
  std::vector<double> w = weights();
  for (const double epsilon : {0.05, 0.2, 1.0}) {
    const std::vector<double> g = f.smoothed_gradient(w, epsilon);
    for (std::size_t i = 0; i != w.size(); ++i) {
      const double at = w[i], h = 1e-5;
      w[i] = at + h;
      const double above = f.smoothed(w, epsilon);
      w[i] = at - h;
      CHECK(g[i] == doctest::Approx((above - f.smoothed(w, epsilon)) / (2 * h)).scale(1).epsilon(1e-7));
      w[i] = at;
    }
  }
}

TEST_CASE("a zeroth-order estimate has the smoothed gradient for its mean, and the straight-through one is another") {
  const quantized_regression f = regression({.step = 0.5, .low = -2, .high = 2});
  const auto loss = [&](std::span<const float> w) { return f(w); };
  for (const float epsilon : {0.075f, 0.2f}) {
    CAPTURE(epsilon);
    const std::vector<double> w = weights(), exact = f.smoothed_gradient(w, double{epsilon});
    const estimator<> e{.epsilon = per_group<float>::all(epsilon), .directions = 2, .seed = 1};
    check_unbiased(measured(e, master_weights, loss, exact));
    CHECK(measured(e, master_weights, loss, f.straight_through(w)).bias_norm().low >
          0.05 * std::sqrt(squared_norm(exact)));
  }
}

TEST_CASE("in full precision all three are one gradient") {
  const quantized_regression f = regression({});
  const std::vector<double> w = weights(), first = f.straight_through(w), smoothed = f.smoothed_gradient(w, 0.3);
  for (std::size_t i = 0; i != w.size(); ++i) CHECK(first[i] == doctest::Approx(smoothed[i]).epsilon(1e-12));
}

TEST_CASE("samples that do not fit are refused") {
  const auto make = [](std::size_t in, std::size_t out, std::size_t n, std::size_t m) {
    return message_of<value_error>([&] {
      static_cast<void>(quantized_regression(in, out, std::vector<double>(n), std::vector<double>(m), {}));
    });
  };
  check_mentions(make(3, 2, 7, 4), "7 inputs", "samples of 3 and 2");
  check_mentions(make(3, 2, 6, 3), "3 targets");
  check_mentions(make(3, 2, 0, 0), "0 inputs");
  check_mentions(make(0, 2, 0, 0), "samples of 0 and 2");
}

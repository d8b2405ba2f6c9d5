// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/ste.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zoqat/random/stream.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

std::vector<double> numbers(std::size_t n, std::uint32_t name, double scale = 1) {
  std::vector<double> v;
  rng::engine draw({.seed = 41, .tensor = name, .use = rng::purpose::data});
  for (std::size_t i = 0; i != n; ++i) v.push_back(scale * (2 * double{draw.uniform()} - 1));
  return v;
}
ste_network network(std::vector<std::size_t> widths, ste_network::quantizers how = {}) {
  const std::size_t in = widths.front(), out = widths.back();
  return {std::move(widths), numbers(5 * in, 1), numbers(5 * out, 2), how};
}
/// Central differences, good to about 10⁻⁹.
std::vector<double> differences(const ste_network& f, std::vector<double> w) {
  std::vector<double> g;
  for (double& x : w) {
    const double at = x, h = 1e-5;
    x = at + h;
    const double above = f(std::span<const double>(w));
    x = at - h;
    g.push_back((above - f(std::span<const double>(w))) / (2 * h));
    x = at;
  }
  return g;
}
void check_equal(std::span<const double> a, std::span<const double> b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i != a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).scale(1).epsilon(1e-8));
}

}  // namespace

TEST_CASE("in full precision the gradient is that of the loss, for one layer and several") {
  for (const std::vector<std::size_t>& widths : {std::vector<std::size_t>{3, 2}, {1, 1}, {3, 4, 2}, {2, 5, 1, 3}}) {
    const ste_network f = network(widths);
    const std::vector<double> w = numbers(f.size(), 3);
    check_equal(f.gradient(w), differences(f, w));
  }
}

TEST_CASE("quantized weights: the full-precision gradient at the quantized weights, 0 where they are clamped") {
  const fixed_quantizer q{.step = 0.25, .low = -2, .high = 2};
  const ste_network f = network({3, 4, 2}, {.weights = q}), full = network({3, 4, 2});
  const std::vector<double> w = numbers(f.size(), 4);
  std::vector<double> deployed, expected;
  for (const double x : w) deployed.push_back(q(x));
  CHECK(f(std::span<const double>(w)) == full(std::span<const double>(deployed)));
  expected = differences(full, deployed);
  std::size_t clamped = 0;
  for (std::size_t i = 0; i != w.size(); ++i)
    if (std::abs(w[i]) > 0.625) expected[i] = 0, ++clamped;
  CHECK(clamped > 3);
  CHECK(clamped < w.size() - 3);
  check_equal(f.gradient(w), expected);
}

TEST_CASE("quantized activations: the derivative passes through, and not where they are clamped") {
  const double x = 0.8, t = 0.3, w0 = 0.7, w1 = -1.5;
  for (const double high : {2.0, 1.0}) {
    const ste_network f({1, 1, 1}, {x}, {t}, {.activations = {.step = 0.25, .low = -high, .high = high}});
    const double h = std::tanh(w0 * x);  // 0.508, code 2
    const double used = 0.25 * std::min(2.0, high), apart = w1 * used - t;
    const std::vector<double> w{w0, w1};
    CHECK(f(std::span<const double>(w)) == doctest::Approx(apart * apart / 2));
    check_equal(f.gradient(w), std::vector<double>{high < 2 ? 0 : apart * w1 * (1 - h * h) * x, apart * used});
  }
}

TEST_CASE("floats and doubles are the same weights") {
  const ste_network f = network({2, 3, 1}, {.weights = {.step = 0.125}});
  const std::vector<float> w{0.5f, -1, 0.25f, 2, 1, 0, -0.75f, 0.5f, 1.5f};
  const std::vector<double> same(w.begin(), w.end());
  CHECK(f(std::span<const float>(w)) == f(std::span<const double>(same)));
}

TEST_CASE("shapes that do not fit are refused") {
  const auto make = [](std::vector<std::size_t> widths, std::size_t inputs, std::size_t targets) {
    return message_of<value_error>(
        [&] { static_cast<void>(ste_network(std::move(widths), numbers(inputs, 1), numbers(targets, 1), {})); });
  };
  check_mentions(make({3}, 3, 3), "1 widths");
  check_mentions(make({3, 0}, 3, 0), "2 widths", "none of them 0");
  check_mentions(make({3, 2}, 7, 4), "7 inputs", "4 targets");
  check_mentions(make({3, 2}, 6, 5), "6 inputs", "5 targets");
  check_mentions(make({3, 2}, 0, 0), "0 inputs");
  const ste_network f = network({3, 2});
  check_mentions(message_of<value_error>([&] { static_cast<void>(f.gradient(numbers(5, 1))); }), "5 weights", "6");
}

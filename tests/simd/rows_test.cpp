// SPDX-License-Identifier: Apache-2.0
#include <simd/backends.hpp>

#include <numeric>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

// Applies a function that works in place and compares: each result within `bound` ulp of term(i, expected result).
template <class Kernel, class Reference, class Term>
void check_in_place(const std::vector<float>& x, Kernel kernel, Reference oracle, double bound, Term term) {
  guarded<float> result(x);
  std::vector<float> expected = x;
  kernel(result.data(), x.size());
  oracle(expected.data(), x.size());
  CHECK(result.intact());
  const auto values = result.content();
  for (std::size_t i = 0; i != x.size(); ++i) {
    CAPTURE(x[i]);
    CAPTURE(values[i]);
    CAPTURE(expected[i]);
    REQUIRE(close(values[i], expected[i], bound, term(i, expected[i])));
  }
}

double result(std::size_t, float expected) { return expected; }

// From 2^-24 to 2^7 in magnitude, both signs, and the numbers at which something changes.
std::vector<float> everywhere() {
  std::vector<float> x{0.0f,    -0.0f, 86.6f,  -86.7f, 87.4f, -87.4f, 88.7f,
                       -88.72f, 89.0f, -89.0f, 1e4f,   -1e4f, 1e20f,  -1e20f};
  auto draw = generator(1);
  for (int i = 0; i != 20000; ++i)
    x.push_back(std::ldexp(1 + draw.uniform(), static_cast<int>(draw.below(31)) - 24) *
                (draw.below(2) == 0 ? 1.0f : -1.0f));
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("dot misses no term and keeps its bound", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes) {
    const auto a = integers(n, 1), b = integers(n, 2);
    CHECK(K::dot(a.data(), b.data(), n) == std::inner_product(a.begin(), a.end(), b.begin(), 0.0f));
    const auto x = floats(n, 3, 5), y = floats(n, 4);
    double sum = 0, magnitude = 0;
    for (std::size_t i = 0; i != n; ++i) sum += double{x[i]} * y[i], magnitude += std::abs(double{x[i]} * y[i]);
    CHECK(close(K::dot(x.data(), y.data(), n), static_cast<float>(sum), 2.0 * static_cast<double>(n), magnitude));
  }
}

TEST_CASE_TEMPLATE("add and multiply", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes) {
    const auto x = floats(n, 5, 3), start = floats(n, 6);
    guarded<float> sum(start), product(start);
    K::add(x.data(), sum.data(), n);
    K::multiply(x.data(), product.data(), n);
    for (std::size_t i = 0; i != n; ++i) {
      CHECK(sum.content()[i] == start[i] + x[i]);
      CHECK(product.content()[i] == start[i] * x[i]);
    }
    CHECK(sum.intact());
    CHECK(product.intact());
  }
}

TEST_CASE_TEMPLATE("norms", K, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes)
    for (const float offset : {0.0f, 10.0f}) {
      auto x = floats(n, 7, 2);
      for (float& v : x) v += offset;
      const auto gain = floats(n, 8), bias = floats(n, 9);
      std::vector<float> expected(n);
      const double bound = 8 + 2 * static_cast<double>(n);

      guarded<float> out(n), in_place(x);
      reference::rms_norm(x.data(), gain.data(), 1e-5f, expected.data(), n);
      K::rms_norm(x.data(), gain.data(), 1e-5f, out.data(), n);
      K::rms_norm(in_place.data(), gain.data(), 1e-5f, in_place.data(), n);
      for (std::size_t i = 0; i != n; ++i) CHECK(close(out.content()[i], expected[i], bound, expected[i]));
      CHECK(out.content() == in_place.content());
      CHECK(out.intact());

      in_place = guarded<float>(x);
      reference::layer_norm(x.data(), gain.data(), bias.data(), 1e-5f, expected.data(), n);
      K::layer_norm(x.data(), gain.data(), bias.data(), 1e-5f, out.data(), n);
      K::layer_norm(in_place.data(), gain.data(), bias.data(), 1e-5f, in_place.data(), n);
      double variance = 0, mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(n);
      for (const float v : x) variance += (v - mean) * (v - mean) / static_cast<double>(n);
      for (std::size_t i = 0; i != n; ++i) {  // the mean's error in units of the standard deviation, and the bias
        const double term =
            (std::abs(mean) + std::abs(x[i])) / std::sqrt(variance + 1e-5) * std::abs(gain[i]) + std::abs(bias[i]);
        CHECK(close(out.content()[i], expected[i], bound, term));
      }
      CHECK(out.content() == in_place.content());
      CHECK(out.intact());
    }
}

TEST_CASE_TEMPLATE("softmax", K, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes)
    for (const float scale : {0.1f, 5.0f, 60.0f})
      check_in_place(floats(n, 10, scale), K::softmax, reference::softmax, 8 + 2 * static_cast<double>(n), result);
}

TEST_CASE_TEMPLATE("softmax of a masked row", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes) {
    if (n == 0) continue;
    std::vector<float> x(n, -infinity);  // all but the last are masked
    x.back() = -3;
    K::softmax(x.data(), n);
    for (std::size_t i = 0; i + 1 != n; ++i) CHECK(x[i] == 0);
    CHECK(x.back() == 1);
    std::vector<float> same(n, 1e30f);  // no overflow
    K::softmax(same.data(), n);
    for (const float v : same) CHECK(close(v, 1.0f / static_cast<float>(n), 4, 1.0 / static_cast<double>(n)));
  }
}

TEST_CASE_TEMPLATE("log_sum_exp", K, ZOQAT_BACKENDS) {
  CHECK(K::log_sum_exp(nullptr, 0) == -infinity);
  for (const std::size_t n : sizes)
    for (const float scale : {0.1f, 5.0f, 60.0f}) {
      const auto x = floats(n, 11, scale);
      const float expected = reference::log_sum_exp(x.data(), n);
      CHECK(close(K::log_sum_exp(x.data(), n), expected, 8 + 2 * static_cast<double>(n),
                  std::max(1.0f, std::abs(expected))));
      const std::vector<float> same(n, -1e4f);
      if (n != 0) CHECK(close(K::log_sum_exp(same.data(), n), -1e4f + std::log(static_cast<float>(n)), 4, 1e4));
    }
}

TEST_CASE_TEMPLATE("a NaN is not lost", K, reference, ZOQAT_BACKENDS) {
  for (std::size_t i = 0; i != 37; ++i) {
    auto x = floats(37, 12);
    x[i] = not_a_number;
    CHECK(std::isnan(K::log_sum_exp(x.data(), 37)));
    CHECK(std::isnan(K::dot(x.data(), x.data(), 37)));
    for (const auto f : {K::silu, K::gelu_tanh, K::gelu_erf, K::relu, K::softmax}) {
      auto y = x;
      f(y.data(), 37);
      CHECK(std::isnan(y[i]));
    }
  }
}

TEST_CASE_TEMPLATE("rotary embeddings", K, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes) {
    if (n % 2 != 0) continue;
    std::vector<float> cos(n / 2), sin(n / 2);
    const auto angles = floats(n / 2, 13, 3);
    for (std::size_t i = 0; i != n / 2; ++i) cos[i] = std::cos(angles[i]), sin[i] = std::sin(angles[i]);
    const auto head = floats(n, 14, 2);
    const auto pair_size = [&](auto partner) {  // both products round, at most, at the size of the pair
      return [&, partner](std::size_t i, float) { return std::hypot(head[i], head[partner(i)]); };
    };
    check_in_place(
        head, [&](float* x, std::size_t d) { K::rope_half_split(x, cos.data(), sin.data(), d); },
        [&](float* x, std::size_t d) { reference::rope_half_split(x, cos.data(), sin.data(), d); }, 4,
        pair_size([=](std::size_t i) { return (i + n / 2) % n; }));
    check_in_place(
        head, [&](float* x, std::size_t d) { K::rope_interleaved(x, cos.data(), sin.data(), d); },
        [&](float* x, std::size_t d) { reference::rope_interleaved(x, cos.data(), sin.data(), d); }, 4,
        pair_size([](std::size_t i) { return i ^ 1; }));
  }
}

TEST_CASE("rotary embeddings pair up what they say") {
  const float cos[] = {0, 0}, sin[] = {1, 1};  // a quarter turn takes (x, y) to (-y, x)
  std::vector<float> x{1, 2, 3, 4};
  reference::rope_half_split(x.data(), cos, sin, 4);
  CHECK(x == std::vector<float>{-3, -4, 1, 2});
  x = {1, 2, 3, 4};
  reference::rope_interleaved(x.data(), cos, sin, 4);
  CHECK(x == std::vector<float>{-2, 1, -4, 3});
}

TEST_CASE_TEMPLATE("activation functions", K, ZOQAT_BACKENDS) {
  const auto x = everywhere();
  const auto input = [&](std::size_t i, float) { return x[i]; };
  check_in_place(x, K::silu, reference::silu, 4, result);
  check_in_place(x, K::gelu_tanh, reference::gelu_tanh, 4, input);
  check_in_place(x, K::gelu_erf, reference::gelu_erf, 4, input);
  check_in_place(x, K::relu, reference::relu, 0, result);
  for (const std::size_t n : sizes) {  // tails
    const auto y = floats(n, 15, 6);
    const auto tail_input = [&](std::size_t i, float) { return y[i]; };
    check_in_place(y, K::silu, reference::silu, 4, result);
    check_in_place(y, K::gelu_tanh, reference::gelu_tanh, 4, tail_input);
    check_in_place(y, K::gelu_erf, reference::gelu_erf, 4, tail_input);
    check_in_place(y, K::relu, reference::relu, 0, result);
  }
}

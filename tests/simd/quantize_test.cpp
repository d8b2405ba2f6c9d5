// SPDX-License-Identifier: Apache-2.0
#include <simd/backends.hpp>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

TEST_CASE_TEMPLATE("min_max holds zero and every number", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes) {
    const auto x = floats(n, 1);
    const range expected = reference::min_max(x.data(), n), r = K::min_max(x.data(), n);
    CHECK(r.min == expected.min);
    CHECK(r.max == expected.max);
  }
  for (std::size_t n = 1; n != 40; ++n)  // each place counts
    for (std::size_t i = 0; i != n; ++i) {
      std::vector<float> x(n, 0.5f);
      x[i] = 3;
      CHECK(K::min_max(x.data(), n).max == 3);
      x[i] = -3;
      CHECK(K::min_max(x.data(), n).min == -3);
    }
  const std::vector<float> positive(20, 2), negative(20, -2);
  CHECK(K::min_max(positive.data(), 20).min == 0);
  CHECK(K::min_max(negative.data(), 20).max == 0);
}

TEST_CASE_TEMPLATE("min_max ignores NaN and keeps infinities", K, reference, ZOQAT_BACKENDS) {
  for (std::size_t i = 0; i != 130; ++i) {
    std::vector<float> x(130, not_a_number);
    x[i] = -2;
    CHECK(K::min_max(x.data(), x.size()).min == -2);
    CHECK(K::min_max(x.data(), x.size()).max == 0);
    x[i] = infinity;
    CHECK(K::min_max(x.data(), x.size()).min == 0);
    CHECK(K::min_max(x.data(), x.size()).max == infinity);
  }
}

TEST_CASE_TEMPLATE("quantize_row gives the codes, the grid and the sum of the reference", K, ZOQAT_BACKENDS) {
  std::uint32_t name = 0;
  for (const std::size_t n : sizes)
    for (int bits = 1; bits <= 8; ++bits)
      for (const bool symmetric : {false, true})
        for (const float scale : {1e-12f, 1e-4f, 1.0f, 300.0f, 1e30f}) {
          const auto x = floats(n, ++name, scale);
          std::vector<std::uint8_t> expected(n);
          guarded<std::uint8_t> codes(n);
          const auto e = reference::quantize_row(x.data(), n, bits, symmetric, expected.data());
          const auto r = K::quantize_row(x.data(), n, bits, symmetric, codes.data());
          REQUIRE(r.grid == e.grid);
          REQUIRE(r.sum == e.sum);
          REQUIRE(codes.content() == expected);
          REQUIRE(codes.intact());
        }
}

TEST_CASE_TEMPLATE("quantize rounds half to even", K, reference, ZOQAT_BACKENDS) {
  const std::vector<float> x{0.5f,  1.5f,        2.5f,        3.5f,         -0.5f, -1.5f,
                             -2.5f, 0.49999997f, 0.50000006f, -0.49999997f, 6.5f,  7.5f};
  const std::vector<std::uint8_t> expected{8, 10, 10, 12, 8, 6, 6, 8, 9, 8, 14, 15};
  for (std::size_t pad = 0; pad != 20; ++pad) {  // in whole vectors and in the tail
    std::vector<float> padded(pad, 0.0f);
    padded.insert(padded.end(), x.begin(), x.end());
    std::vector<std::uint8_t> codes(padded.size());
    K::quantize(padded.data(), padded.size(), {1.0f, 8}, 4, codes.data());
    CHECK(std::vector<std::uint8_t>(codes.begin() + static_cast<std::ptrdiff_t>(pad), codes.end()) == expected);
  }
}

TEST_CASE_TEMPLATE("quantize rounds the product before anything is added", K, reference, ZOQAT_BACKENDS) {
  // 7.5 * (1 / 3.0f) is 2.5000001 exactly and 2.5 rounded: a fused addition would see more than a half.
  const std::vector<float> x(33, 7.5f);
  std::vector<std::uint8_t> codes(33);
  K::quantize(x.data(), 33, {3.0f, 5}, 4, codes.data());
  CHECK(codes == std::vector<std::uint8_t>(33, 7));
}

TEST_CASE_TEMPLATE("quantize is defined for every float and for zero points outside of the codes", K, reference,
                   ZOQAT_BACKENDS) {
  constexpr float huge = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  const std::vector<float> x{huge,          -huge,      infinity,    -infinity, not_a_number,  -not_a_number,
                             tiny,          -tiny,      -0.0f,       0.0f,      2147483648.0f, -2147483648.0f,
                             4294967296.0f, 8388609.0f, -8388609.0f, 1e10f,     -1e10f};
  const auto codes_of = [&](grid g, int bits) {
    std::vector<std::uint8_t> codes(x.size());
    K::quantize(x.data(), x.size(), g, bits, codes.data());
    return codes;
  };
  for (const float scale : {minimum_scale, 1.0f, maximum_scale}) {
    const std::uint8_t up = scale == maximum_scale ? 8 : 15, down = scale == maximum_scale ? 6 : 0;
    const auto codes = codes_of({scale, scale == maximum_scale ? 4 : 7}, 4);
    CHECK(codes[0] == up);  // huge / 2^126 is 4
    CHECK(codes[1] == (scale == maximum_scale ? 0 : down));
    CHECK(codes[2] == 15);
    CHECK(codes[3] == 0);
    CHECK(codes[4] == 0);
    CHECK(codes[5] == 0);
    for (std::size_t i = 6; i != 10; ++i) CHECK(codes[i] == (scale == maximum_scale ? 4 : 7));
  }
  for (const std::int32_t zero_point : {-2000000, -300, -1, 0, 3, 255, 256, 100000, 2000000})
    for (const int bits : {1, 4, 8}) {
      std::vector<std::uint8_t> expected(x.size());
      reference::quantize(x.data(), x.size(), {0.7f, zero_point}, bits, expected.data());
      CHECK(codes_of({0.7f, zero_point}, bits) == expected);
    }
}

TEST_CASE_TEMPLATE("dequantize is exact", K, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes)
    for (const std::int32_t zero_point : {-1000, 0, 7, 255}) {
      const auto c = codes(n, 8, 5);
      std::vector<float> expected(n);
      guarded<float> out(n);
      reference::dequantize(c.data(), n, {0.37f, zero_point}, expected.data());
      K::dequantize(c.data(), n, {0.37f, zero_point}, out.data());
      CHECK(out.content() == expected);
      CHECK(out.intact());
    }
  const auto c = codes(37, 4, 6);  // a product that is exact, less a minimum
  std::vector<float> values(c.size());
  K::dequantize(c.data(), c.size(), {0x1.abcp-9f, 0, 0.4321f}, values.data());
  for (std::size_t i = 0; i != c.size(); ++i) CHECK(values[i] == 0x1.abcp-9f * static_cast<float>(c[i]) - 0.4321f);
}

TEST_CASE_TEMPLATE("sum adds every code", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes) {
    const std::vector<std::uint8_t> c(n, 255);
    CHECK(K::sum(c.data(), n) == static_cast<std::int32_t>(255 * n));
  }
  const auto c = codes(100000, 8, 6);
  CHECK(K::sum(c.data(), c.size()) == reference::sum(c.data(), c.size()));
}

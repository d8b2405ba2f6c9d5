// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/activation_codes.hpp>

#include <doctest/doctest.h>
#include <zoqat/simd/reference.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

using namespace zoqat;
using namespace zoqat::quant;

namespace {

using q8_0 = activation<8, group<32>, symmetric, fp16_scale>;
using q8_1 = activation<8, group<32>, symmetric, fp16_scale_and_sum>;
using q8_k = activation<8, group<256>, symmetric>;

template <class Activation>
std::vector<int> codes_around_zero(const std::vector<float>& x) {
  const simd::code_range codes = codes_of<Activation>(simd::reference::min_max(x.data(), x.size()));
  std::vector<std::uint8_t> bytes(x.size());
  simd::reference::quantize(simd::weight_row{x.data()}, x.size(), codes, bytes.data());
  std::vector<int> result;
  for (const std::uint8_t byte : bytes) result.push_back(byte - codes.grid.zero_point);
  return result;
}
template <class Activation>
float scale_of(float greatest) {
  return codes_of<Activation>({-greatest, 0}).grid.scale;
}

}  // namespace

TEST_CASE("tokens have the grid over their range and all of its codes") {
  const simd::range r{-1, 3};
  const simd::code_range codes = codes_of<activation<5>>(r);
  CHECK(codes.grid == simd::grid_of(r, 5, false));
  CHECK(codes.least == 0);
  CHECK(codes.greatest == 31);
  CHECK(codes.factor() == 1 / codes.grid.scale);
}

TEST_CASE("the greatest magnitude of a group takes the last code on its side") {
  CHECK(codes_around_zero<q8_0>({4, -1, 2, -4}) == std::vector{127, -32, 64, -127});  // half to even
  CHECK(codes_around_zero<q8_k>({-8, 1, 4}) == std::vector{-127, 16, 64});
  CHECK(codes_around_zero<activation<4, group<8>, symmetric>>({-3.5f, 3.5f, 1, 0.4f}) == std::vector{-7, 7, 2, 1});
}

TEST_CASE("values are multiplied by 127 / greatest in floats, whatever is stored") {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (int i = 0; i != 2000; ++i) {
    std::vector<float> x(32);
    for (float& v : x) v = normal(random);
    float greatest = 0;
    for (const float v : x) greatest = std::max(greatest, std::abs(v));
    std::vector<int> expected;
    for (const float v : x) expected.push_back(static_cast<int>(std::nearbyint(v * (127 / greatest))));
    REQUIRE(codes_around_zero<q8_0>(x) == expected);
    REQUIRE(codes_around_zero<q8_1>(x) == expected);
    REQUIRE(codes_around_zero<q8_k>(x) == expected);
  }
}

TEST_CASE("scales are greatest / 127: nearest in half precision, or the reciprocal of the factor") {
  CHECK(scale_of<q8_0>(127) == 1);
  CHECK(scale_of<q8_0>(1) == static_cast<float>(fp16(1.0f / 127)));
  CHECK(scale_of<q8_k>(1) == 1.0f / 127);
  CHECK(scale_of<q8_k>(3) == 1.0f / (127.0f / 3));
  CHECK(scale_of<q8_0>(127 * 0x1p-20f) == 0x1p-20f);  // subnormal in half precision
  CHECK(scale_of<q8_0>(127 * 0x1p-26f) == 0);
  CHECK(std::isinf(scale_of<q8_0>(127 * 70000.0f)));  // no number of that format: results are not finite
  CHECK(std::isinf(scale_of<q8_k>(std::numeric_limits<float>::infinity())));
}

TEST_CASE("zeros, and what is as good as zero, have the middle code") {
  const std::vector<int> zeros(3, 0);
  CHECK(codes_around_zero<q8_0>({0, -0.0f, 0}) == zeros);
  CHECK(scale_of<q8_k>(0) == 0);
  CHECK(codes_around_zero<q8_k>({1e-42f, 0, -1e-42f}) == zeros);
}

TEST_CASE("a stored sum is that of the codes by the scale before it is rounded, and then rounded itself") {
  const simd::range r{-2, 1};
  CHECK(stored_sum<q8_1>(r, 1000) == static_cast<float>(fp16(2.0f / 127 * 1000)));
  CHECK(stored_sum<q8_1>(r, 1000) != static_cast<float>(fp16(2.0f / 127)) * 1000);
  CHECK(stored_sum<q8_1>({}, 0) == 0);
}

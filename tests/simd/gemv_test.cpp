// SPDX-License-Identifier: Apache-2.0
#include <simd/backends.hpp>

#include <cmath>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

constexpr std::size_t depths[] = {0,  1,  2,  3,  4,  5,  7,  8,  15,  16,  17,  27,  28,   29,  31,
                                  32, 33, 36, 60, 63, 64, 65, 96, 127, 128, 129, 257, 1000, 4095};

}  // namespace

TEST_CASE_TEMPLATE("gemv misses no term", K, reference, ZOQAT_BACKENDS) {
  for_each_width<1, 8>([](auto bits) {
    for (const std::size_t k : depths) {
      const auto panel = code_panel(k, bits, 1);
      const auto x = integers(k, 2);
      std::vector<std::uint8_t> bytes(packed_panel_size(bits, k));
      reference::pack<bits>(panel.data(), k, bytes.data());
      std::vector<float> expected(panel_width);
      for (std::size_t j = 0; j != panel_width; ++j)
        for (std::size_t i = 0; i != k; ++i) expected[j] += x[i] * static_cast<float>(panel[code_at(j, i)]);
      guarded<float> sums(panel_width);
      K::template gemv<bits>(x.data(), k, bytes.data(), sums.data());
      REQUIRE(sums.content() == expected);
      REQUIRE(sums.intact());
    }
  });
}

TEST_CASE_TEMPLATE("gemv keeps its bound", K, reference, ZOQAT_BACKENDS) {
  for_each_width<2, 8>([](auto bits) {
    for (const std::size_t k : depths) {
      const auto panel = code_panel(k, bits, 3);
      const auto x = floats(k, 4, 3);
      std::vector<std::uint8_t> bytes(packed_panel_size(bits, k));
      reference::pack<bits>(panel.data(), k, bytes.data());
      std::vector<float> sums(panel_width);
      K::template gemv<bits>(x.data(), k, bytes.data(), sums.data());
      for (std::size_t j = 0; j != panel_width; ++j) {
        double sum = 0, magnitude = 0;
        for (std::size_t i = 0; i != k; ++i) {
          const double term = double{x[i]} * panel[code_at(j, i)];
          sum += term, magnitude += std::abs(term);
        }
        REQUIRE(close(sums[j], static_cast<float>(sum), 2.0 * static_cast<double>(k + 1), magnitude));
      }
    }
  });
}

TEST_CASE_TEMPLATE("gemv reads the start of a deeper panel", K, reference, ZOQAT_BACKENDS) {
  for_each_width<2, 8>([](auto bits) {
    const auto panel = code_panel(64, bits, 5);
    std::vector<std::uint8_t> bytes(packed_panel_size(bits, 64));
    reference::pack<bits>(panel.data(), 64, bytes.data());
    for (std::size_t k = 0; k != 64; ++k) {
      const std::vector<float> x(k, 1);  // codes beyond k are there, and must not count
      std::vector<float> sums(panel_width);
      K::template gemv<bits>(x.data(), k, bytes.data(), sums.data());
      for (std::size_t j = 0; j != panel_width; ++j) {
        float expected = 0;
        for (std::size_t i = 0; i != k; ++i) expected += static_cast<float>(panel[code_at(j, i)]);
        REQUIRE(sums[j] == expected);
      }
    }
  });
}

TEST_CASE("gemv by hand") {
  std::vector<std::uint8_t> panel(code_panel_size(5)), bytes(packed_panel_size(3, 5));
  const std::uint8_t first[] = {1, 2, 3, 4, 5}, last[] = {7, 0, 0, 0, 1};
  for (std::size_t k = 0; k != 5; ++k) panel[code_at(0, k)] = first[k], panel[code_at(15, k)] = last[k];
  reference::pack<3>(panel.data(), 5, bytes.data());
  const float x[] = {1, -1, 2, 0.5f, 10};
  float sums[panel_width];
  reference::gemv<3>(x, 5, bytes.data(), sums);
  CHECK(sums[0] == 57);
  CHECK(sums[15] == 17);
  for (std::size_t j = 1; j != 15; ++j) CHECK(sums[j] == 0);
}

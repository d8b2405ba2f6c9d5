// SPDX-License-Identifier: Apache-2.0
#include <simd/backends.hpp>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

constexpr std::size_t depths[] = {0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 63, 64, 65, 257};

}  // namespace

TEST_CASE_TEMPLATE("pack_panel lays out floats", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t k : depths)
    for (std::size_t rows = 0; rows <= panel_width; ++rows) {
      const std::size_t stride = k + 3 * (rows % 2);
      const auto w = floats(rows * stride, 1);
      std::vector<float> expected(float_panel_size(k));
      for (std::size_t j = 0; j != rows; ++j)
        for (std::size_t i = 0; i != k; ++i) expected[i * panel_width + j] = w[j * stride + i];
      guarded<float> panel(expected.size());
      K::pack_panel(matrix_view<const float>(w.data(), rows, k, stride), panel.data());
      REQUIRE(panel.content() == expected);
      REQUIRE(panel.intact());
    }
}

TEST_CASE_TEMPLATE("pack_panel lays out codes", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t k : depths)
    for (std::size_t rows = 0; rows <= panel_width; ++rows) {
      const std::size_t stride = k + rows % 2;
      const auto w = codes(rows * stride, 8, 2);
      std::vector<std::uint8_t> expected(code_panel_size(k));
      for (std::size_t j = 0; j != rows; ++j)
        for (std::size_t i = 0; i != k; ++i) expected[code_at(j, i)] = w[j * stride + i];
      guarded<std::uint8_t> panel(expected.size());
      K::pack_panel(matrix_view<const std::uint8_t>(w.data(), rows, k, stride), panel.data());
      REQUIRE(panel.content() == expected);
      REQUIRE(panel.intact());
    }
}

TEST_CASE("a panel by hand") {
  CHECK(code_at(0, 0) == 0);
  CHECK(code_at(0, 3) == 3);
  CHECK(code_at(1, 0) == 4);
  CHECK(code_at(15, 3) == 63);
  CHECK(code_at(0, 4) == 64);
  const float w[] = {1, 2, 3, 4, 5, 6};
  float panel[float_panel_size(3)];
  reference::pack_panel(matrix_view<const float>(w, 2, 3), panel);
  CHECK(panel[0] == 1);
  CHECK(panel[1] == 4);
  CHECK(panel[2] == 0);
  CHECK(panel[16] == 2);
  CHECK(panel[33] == 6);
}

TEST_CASE_TEMPLATE("dequantize_panel gives every code its value, rounded once", K, reference, ZOQAT_BACKENDS) {
  const auto scales = floats(panel_width, 3);
  grid grids[panel_width];
  for (std::size_t j = 0; j != panel_width; ++j)
    grids[j] = j % 4 != 0 ? grid{1.5f + scales[j], static_cast<std::int32_t>(j * 17) - (j % 3 == 0 ? 1000 : 0)}
                          : grid{0x1.abcp-9f, 0, 0.4321f * scales[j]};
  const auto panel = code_panel(75, 8, 4);
  for (std::size_t first = 0; first != 75; ++first)
    for (const std::size_t k : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{5}, 75 - first}) {
      if (first + k > 75) continue;
      std::vector<float> expected(float_panel_size(k));
      for (std::size_t i = 0; i != k; ++i)
        for (std::size_t j = 0; j != panel_width; ++j)
          expected[i * panel_width + j] =
              rounded(grids[j].scale * static_cast<float>(panel[code_at(j, first + i)] - grids[j].zero_point)) -
              grids[j].minimum;
      guarded<float> out(expected.size());
      K::dequantize_panel(panel.data(), first, k, grids, out.data());
      REQUIRE(out.content() == expected);
      REQUIRE(out.intact());
    }
}

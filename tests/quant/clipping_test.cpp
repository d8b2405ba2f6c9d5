// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/clipping.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

using namespace zoqat;
using namespace zoqat::quant;

namespace {

constexpr simd::range ranges[] = {{-1, 2},      {0, 3}, {-0.7f, 0},        {-1e-4f, 3e-5f},
                                  {-250, 1000}, {0, 0}, {-1e-20f, 1e-20f}, {-1e20f, 1e30f}};

bool is_in_domain(const code_grid& g, int bits) {
  const int top = (1 << bits) - 1;
  return g.grid.scale >= simd::minimum_scale && g.grid.scale <= simd::maximum_scale && g.grid.zero_point >= 0 &&
         g.grid.zero_point <= top && g.least <= g.greatest && g.greatest <= top;
}

void check_close(const code_grid& g, const simd::grid& expected, double tolerance) {
  CHECK(g.grid.scale == doctest::Approx(expected.scale).epsilon(tolerance));
  CHECK(g.grid.zero_point == expected.zero_point);
  CHECK(g.grid.minimum == doctest::Approx(expected.minimum).epsilon(tolerance));
}

}  // namespace

TEST_CASE("without clipping the grid is the one of the range, with all its codes") {
  for (int bits = 2; bits <= 8; ++bits)
    for (const zero_points zeros : {zero_points::any, zero_points::middle, zero_points::near_middle})
      for (const simd::range r : ranges) {
        const code_grid g = clip::none::grid_of(r, bits, zeros, nullptr);
        CHECK(g.grid == grid_over(r, bits, zeros));
        CHECK(g.least == 0);
        CHECK(g.greatest == (1 << bits) - 1);
        CHECK(is_in_domain(g, bits));
      }
}

TEST_CASE("a grid over a range is that of the kernels, or the better of the two whose zero is near the middle") {
  for (int bits = 2; bits <= 8; ++bits)
    for (const simd::range r : ranges) {
      CHECK(grid_over(r, bits, zero_points::any) == simd::grid_of(r, bits, false));
      CHECK(grid_over(r, bits, zero_points::middle) == simd::grid_of(r, bits, true));
      const simd::grid g = grid_over(r, bits, zero_points::near_middle), even = simd::grid_of(r, bits, true);
      const int middle = 1 << (bits - 1);
      CHECK(g.zero_point == (r.max > -r.min && g.scale != even.scale ? middle - 1 : middle));
      CHECK(g.scale <= even.scale);
      // It holds the range, up to the rounding of the quotient.
      CHECK(g.scale * static_cast<float>(2 * middle - 1 - g.zero_point) >= r.max * 0.999999f);
      CHECK(g.scale * static_cast<float>(-g.zero_point) <= r.min * 0.999999f);
    }
  CHECK(grid_over({-1, 8}, 4, zero_points::near_middle) == simd::grid{1, 7});
  CHECK(grid_over({-1.3f, 6.2f}, 4, zero_points::none) == simd::grid{0.5f, 0, 1.3f});
  CHECK(grid_over({-8, 1}, 4, zero_points::near_middle) == simd::grid{1, 8});
}

TEST_CASE("a learned zero point is one that there may be") {
  float p[4];
  for (const int code : {0, 6, 7, 8, 15}) {
    clip::codes::hold({0.5f, code}, p);
    CHECK(clip::codes::grid_of({}, 4, zero_points::any, p).grid.zero_point == code);
    CHECK(clip::codes::grid_of({}, 4, zero_points::middle, p).grid.zero_point == 8);
    CHECK(clip::codes::grid_of({}, 4, zero_points::near_middle, p).grid.zero_point == (code < 8 ? 7 : 8));
  }
}

TEST_CASE("clip::range starts at the factors it is given") {
  float p[2];
  for (const float least : {0.1f, 0.5f, 0.9f, 0.999f})
    for (const float most : {0.25f, 0.75f}) {
      clip::range::init({-1, 2}, 4, zero_points::any, least, most, p);
      check_close(clip::range::grid_of({-1, 2}, 4, zero_points::any, p), simd::grid_of({-least, 2 * most}, 4, false),
                  1e-5);
      check_close(clip::range::grid_of({-1, 2}, 4, zero_points::middle, p),
                  simd::grid_of({-least, 2 * most}, 4, true), 1e-5);
    }
}

TEST_CASE("clip::range starts inside of its domain for factors outside of it") {
  float p[2];
  for (const float factor : {-1.0f, 0.0f, 1.0f, 7.0f, std::numeric_limits<float>::infinity()}) {
    clip::range::init({-1, 2}, 4, zero_points::any, factor, factor, p);
    CHECK(std::isfinite(p[0]));
    CHECK(std::isfinite(p[1]));
  }
  CHECK(p[0] == doctest::Approx(std::log(0.9999 / 0.0001)).epsilon(1e-3));
}

TEST_CASE("clip::range shrinks each side on its own, and never past zero") {
  const simd::range r{-1, 1};
  const float wide = 20, half = 0;  // logits of 1 and 1/2
  const float both[] = {wide, wide}, below[] = {half, wide}, above[] = {wide, half};
  CHECK(clip::range::grid_of(r, 8, zero_points::any, both).grid.scale == doctest::Approx(2.0 / 255));
  CHECK(clip::range::grid_of(r, 8, zero_points::any, below).grid.scale == doctest::Approx(1.5 / 255));
  CHECK(clip::range::grid_of(r, 8, zero_points::any, above).grid.scale == doctest::Approx(1.5 / 255));
  CHECK(clip::range::grid_of(r, 8, zero_points::any, below).grid.zero_point == 85);
  CHECK(clip::range::grid_of(r, 8, zero_points::any, above).grid.zero_point == 170);
  for (const float x : {-1000.0f, -100.0f, 100.0f, 1000.0f})
    for (const float y : {-1000.0f, 1000.0f})
      for (const simd::range each : ranges) {
        const float p[] = {x, y};
        CHECK(is_in_domain(clip::range::grid_of(each, 3, zero_points::any, p), 3));
        CHECK(is_in_domain(clip::range::grid_of(each, 3, zero_points::middle, p), 3));
      }
}

TEST_CASE("clip::codes starts at the grid of the range, with all its codes") {
  float p[4];
  for (int bits = 2; bits <= 8; ++bits)
    for (const zero_points zeros :
         {zero_points::any, zero_points::none, zero_points::middle, zero_points::near_middle})
      for (const simd::range r : ranges)
        for (const float factor : {1.0f, 0.8f}) {
          CAPTURE(bits);
          CAPTURE(r.max);
          clip::codes::init(r, bits, zeros, factor, factor, p);
          const code_grid g = clip::codes::grid_of({}, bits, zeros, p);
          check_close(g, grid_over({factor * r.min, factor * r.max}, bits, zeros), 1e-5);
          CHECK(g.least == 0);
          CHECK(g.greatest == (1 << bits) - 1);
          CHECK(is_in_domain(g, bits));
        }
}

TEST_CASE("clip::codes holds any grid, whatever the weights are") {
  float p[4];
  for (const float scale : {simd::minimum_scale, 1e-5f, 0.37f, 1.0f, 1e10f, 1e20f, simd::maximum_scale})
    for (const int zero_point : {0, 1, 7, 15}) {
      CAPTURE(scale);
      clip::codes::hold({scale, zero_point}, p);
      for (const simd::range r : ranges)
        check_close(clip::codes::grid_of(r, 4, zero_points::any, p), {scale, zero_point}, 1e-5);
      const float minimum = scale * (zero_point == 0 ? -0.3f : 0.7f);  // of either sign
      clip::codes::hold({scale, 0, minimum}, p);
      check_close(clip::codes::grid_of({}, 4, zero_points::none, p), {scale, 0, minimum}, 1e-5);
    }
}

TEST_CASE("the bounds of clip::codes cut off codes") {
  float p[4];
  clip::codes::hold({0.5f, 3}, p);
  p[2] = std::log(0.2f / 0.8f);  // alpha = 0.2 of 15 codes
  p[3] = std::log(0.6f / 0.4f);
  const code_grid g = clip::codes::grid_of({}, 4, zero_points::any, p);
  CHECK(g.least == 3);
  CHECK(g.greatest == 9);
  CHECK(g.grid.zero_point == 3);
}

TEST_CASE("no parameters lead clip::codes out of its domain") {
  constexpr float infinite = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float values[] = {-infinite, -1e30f, -5, 0, 5, 1e30f, infinite};
  for (const int bits : {2, 8})
    for (const float step : values)
      for (const float zero : values)
        for (const float alpha : values)
          for (const float beta : values) {
            const float p[] = {step, zero, alpha, beta};
            REQUIRE(is_in_domain(clip::codes::grid_of({}, bits, zero_points::any, p), bits));
          }
  const float lost[] = {0, nan, nan, nan};
  const code_grid g = clip::codes::grid_of({}, 4, zero_points::any, lost);
  CHECK(g.grid.zero_point == 0);
  CHECK(g.greatest == 0);
}

TEST_CASE("bounds on codes that cross are taken in their order") {
  const std::array<float, 4> crossed{std::log(0.1f), 3, 2, -2}, ordered{std::log(0.1f), 3, -2, 2};
  const auto a = quant::clip::codes::grid_of({-1, 1}, 4, quant::zero_points::any, crossed.data());
  const auto b = quant::clip::codes::grid_of({-1, 1}, 4, quant::zero_points::any, ordered.data());
  CHECK(a.least < a.greatest);
  CHECK(a.least == b.least);
  CHECK(a.greatest == b.greatest);
}

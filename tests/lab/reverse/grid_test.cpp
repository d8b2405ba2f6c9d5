// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/reverse/grid.hpp>

#include <doctest/doctest.h>
#include <lab/reverse/differences.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/quant/scheme.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::lab::reverse;

namespace {

/// The smooth grid rounds to the one that training uses, and its derivatives are those of differences.
template <class Policy>
void check_grid(simd::range range, quant::zero_points zeros, std::array<double, Policy::parameters> p) {
  constexpr int bits = 4;
  const auto g = smooth_grid_of(Policy{}, range, bits, zeros, p.data());
  std::array<float, Policy::parameters> floats;
  std::copy(p.begin(), p.end(), floats.begin());
  const grid_numbers exact = numbers_of(Policy::grid_of(range, bits, zeros, floats.data()));
  CHECK(g.value[0] == doctest::Approx(exact[0]).epsilon(1e-5));
  if (zeros == quant::zero_points::any) CHECK(std::abs(g.value[1] - exact[1]) <= 0.5001);
  CHECK(g.value[4] == doctest::Approx(exact[4]).epsilon(1e-5));
  CHECK((g.value[4] != 0) == (zeros == quant::zero_points::none));
  if (!Policy::follows_range)
    for (const std::size_t bound : {std::size_t{2}, std::size_t{3}})
      CHECK(std::abs(g.value[bound] - exact[bound]) <= 0.5001);
  for (std::size_t k = 0; k != p.size(); ++k) {
    auto up = p, down = p;
    up[k] += 1e-5, down[k] -= 1e-5;
    const auto high = smooth_grid_of(Policy{}, range, bits, zeros, up.data());
    const auto low = smooth_grid_of(Policy{}, range, bits, zeros, down.data());
    for (std::size_t j = 0; j != grid_width; ++j)
      CHECK(g.by[k][j] == doctest::Approx((high.value[j] - low.value[j]) / 2e-5).epsilon(1e-6));
  }
}

}  // namespace

TEST_CASE("clipping policies as smooth functions: their grids, and their derivatives") {
  using quant::zero_points;
  for (const auto zeros : {zero_points::any, zero_points::none, zero_points::middle, zero_points::near_middle})
    for (const simd::range range : {simd::range{-0.7f, 1.1f}, simd::range{-1.3f, 0.4f}}) {
      check_grid<quant::clip::range>(range, zeros, {1.5, 0.4});
      check_grid<quant::clip::codes>(range, zeros, {-2.1, 6.3, -3, 2.5});
      check_grid<quant::clip::codes>(range, zeros, {-2.1, 17, 3, -0.5});  // a zero beyond the codes, bounds turned
    }
}

TEST_CASE("LSQ's derivatives, between the bounds and beyond them") {
  matrix<double> x(1, 4), grid(1, grid_width);
  constexpr std::array values{0.33, -0.2, 5.0, -5.0};
  std::copy(values.begin(), values.end(), x.data());
  constexpr std::array numbers{0.25, 6.0, 1.0, 13.0};
  std::copy(numbers.begin(), numbers.end(), grid.data());
  const auto codes = [] {
    matrix<double> c(1, 4);
    constexpr std::array of_quantizer{7.0, 5.0, 13.0, 1.0};
    std::copy(of_quantizer.begin(), of_quantizer.end(), c.data());
    return c;
  };
  struct expected {
    double value, by_x, by_step, by_zero, by_least, by_greatest;
  };
  constexpr std::array<expected, 4> all{{{0.25, 1, 1 - 0.33 / 0.25, 0, 0, 0},
                                         {-0.25, 1, -1 + 0.2 / 0.25, 0, 0, 0},
                                         {1.75, 0, 7, -0.25, 0, 0.25},
                                         {-1.25, 0, -5, -0.25, 0.25, 0}}};
  for (std::size_t i = 0; i != 4; ++i) {
    CAPTURE(i);
    roundings r;
    tape t;
    const variable in = t.input(x), on = t.input(grid);
    const variable out = on_grids(t, in, on, {.groups = 1, .group_size = 4}, r, codes);
    CHECK(out->value(0, i) == doctest::Approx(all[i].value));
    t.backward(take(t, out, 1, 1, {i}));
    CHECK(in->gradient(0, i) == doctest::Approx(all[i].by_x));
    CHECK(on->gradient(0, 0) == doctest::Approx(all[i].by_step));
    CHECK(on->gradient(0, 1) == doctest::Approx(all[i].by_zero));
    CHECK(on->gradient(0, 2) == doctest::Approx(all[i].by_least));
    CHECK(on->gradient(0, 3) == doctest::Approx(all[i].by_greatest));
  }
}

TEST_CASE("what a minimum takes off comes back between the bounds, and not beyond them") {
  matrix<double> x(1, 2), grid(1, grid_width);
  x.data()[0] = 0.33, x.data()[1] = 9;
  constexpr std::array numbers{0.25, 0.0, 0.0, 15.0, 1.1};  // (0.33 + 1.1) / 0.25 = 5.72
  std::copy(numbers.begin(), numbers.end(), grid.data());
  for (std::size_t i = 0; i != 2; ++i) {
    roundings r;
    tape t;
    const variable in = t.input(x), on = t.input(grid);
    const variable out = on_grids(t, in, on, {.groups = 1, .group_size = 2}, r, [] {
      matrix<double> c(1, 2);
      c.data()[0] = 6, c.data()[1] = 15;
      return c;
    });
    CHECK(out->value(0, i) == doctest::Approx(i == 0 ? 6 * 0.25 - 1.1 : 15 * 0.25 - 1.1));
    t.backward(take(t, out, 1, 1, {i}));
    CHECK(in->gradient(0, i) == (i == 0 ? 1 : 0));
    CHECK(on->gradient(0, 0) == doctest::Approx(i == 0 ? 6 - 5.72 : 15));
    CHECK(on->gradient(0, 4) == (i == 0 ? 0 : -1));
  }
}

TEST_CASE("groups share a grid and a factor") {
  const grid_layout layout{.groups = 2, .group_size = 3};
  CHECK(layout(1, 2) == 2);
  CHECK(layout(1, 3) == 3);
  CHECK(grid_layout{.groups = 2, .group_size = 3, .whole = true}(1, 3) == 0);
  check_derivatives([&](tape& t, auto in) { return multiply_groups(t, in[0], in[1], layout); },
                    {random_values(2, 5, 1), random_values(2, 2, 2)});
}

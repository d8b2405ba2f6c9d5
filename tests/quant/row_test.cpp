// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/row.hpp>

#include <doctest/doctest.h>
#include <quant/weights.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::quant;
using namespace zoqat::quant::testing;

namespace {

using half_weight = weight<4, per_channel, asymmetric, clip::none, fp16_scale>;

struct piece {
  std::size_t group, first, count;
  friend bool operator==(const piece&, const piece&) = default;
};

template <class Weight>
std::vector<piece> pieces_of(std::size_t in) {
  std::vector<piece> pieces;
  for_each_group<Weight>(in, [&](std::size_t group, std::size_t first, std::size_t count) {
    pieces.push_back({group, first, count});
  });
  return pieces;
}

}  // namespace

TEST_CASE("groups follow one another, the last one as long as what is left") {
  CHECK(pieces_of<weight<4, group<3>>>(7) == std::vector<piece>{{0, 0, 3}, {1, 3, 3}, {2, 6, 1}});
  CHECK(pieces_of<weight<4, group<3>>>(6) == std::vector<piece>{{0, 0, 3}, {1, 3, 3}});
  CHECK(pieces_of<weight<4, group<128>>>(172) == std::vector<piece>{{0, 0, 128}, {1, 128, 44}});
  CHECK(pieces_of<weight<4, group<128>>>(5) == std::vector<piece>{{0, 0, 5}});
  CHECK(pieces_of<weight<4, group<1>>>(2) == std::vector<piece>{{0, 0, 1}, {1, 1, 1}});
  CHECK(pieces_of<weight<4>>(172) == std::vector<piece>{{0, 0, 172}});
  CHECK(pieces_of<weight<4, group<3>>>(0).empty());
  CHECK(pieces_of<weight<4>>(0).empty());
}

TEST_CASE("scales are stored as they are, or as normal numbers of half precision") {
  CHECK(stored_scale<weight<4>>(0.1f) == 0.1f);
  CHECK(stored_scale<half_weight>(0.1f) == fp16(0.1f));
  CHECK(stored_scale<half_weight>(1e-10f) == fp16(0x1p-14f));
  CHECK(stored_scale<half_weight>(1e30f) == fp16(65504.0f));
}

TEST_CASE("minima are stored like the scales beside them, and codes count from them") {
  using weight_4 = weight<4, group<32>, with_minimum, clip::none, fp16_scale>;
  CHECK(stored_minimum<weight_4>(0.1f) == fp16(0.1f));
  CHECK(stored_minimum<weight_4>(-1e30f) == fp16(-65504.0f));
  const code_grid g = grid_of<weight_4>({-0.3f, 0.6f}, nullptr);
  CHECK(g.grid.scale == static_cast<float>(fp16(0.9f / 15)));
  CHECK(g.grid.zero_point == 0);
  CHECK(g.grid.minimum == static_cast<float>(fp16(0.3f)));
  const simd::grid twice = scaled<weight_4>(g.grid, 2);
  CHECK(twice.scale == 2 * g.grid.scale);
  CHECK(twice.minimum == 2 * g.grid.minimum);

  // More weights than are moved at once; half a step rounds to even, after the minimum is added.
  const code_grid even{{0.5f, 0, 0.25f}, 1, 15};
  std::vector<float> w(300);
  for (std::size_t i = 0; i != w.size(); ++i) w[i] = static_cast<float>(i % 40) * 0.25f - 1;
  std::vector<std::uint8_t> codes(w.size());
  std::int32_t sum = 0;
  for (std::size_t i = 0; i != w.size(); ++i) {
    const float code = std::nearbyint((w[i] + 0.25f) * 2);
    sum += static_cast<std::int32_t>(std::clamp(code, 1.0f, 15.0f));
  }
  CHECK(quantize_on<weight_4>(w, even, codes.data()) == sum);
  CHECK(codes[0] == 1);
  CHECK(codes[5] == 1);  // 0.25 + 0.25 is one step
  CHECK(codes[8] == 2);  // 1 + 0.25 is two and a half
  CHECK(codes[39] == 15);
  std::vector<float> values(w.size());
  const std::vector<simd::grid> grids(10, even.grid);
  dequantize_row<weight_4>(codes, grids.data(), values.data());
  for (std::size_t i = 0; i != w.size(); ++i) REQUIRE(values[i] == 0.5f * codes[i] - 0.25f);
}

TEST_CASE("what is shared are multiples of numbers of half precision, which stay what they are when shared again") {
  rng::engine draw({.seed = 35, .use = rng::purpose::data});
  const auto check = [&]<class Weight>() {
    constexpr auto greatest = static_cast<float>(Weight::scale_format::greatest);
    for (const float size : {1e-30f, 1e-5f, 0.02f, 1.0f, 3e4f})
      for (int i = 0; i != 300; ++i) {
        std::vector<simd::grid> grids(37);  // a ragged last super-block
        for (simd::grid& g : grids) {
          g = {size * (0.05f + draw.uniform()), (1 << (Weight::bits - 1)) - static_cast<int>(draw.below(2))};
          if (Weight::has_minima) g.zero_point = 0, g.minimum = i % 7 == 0 ? 0.0f : 3 * size * draw.uniform();
        }
        std::vector<simd::grid> shared = grids;
        share_scales<Weight>(shared);
        const auto check_factor = [&](float found, float wanted, float unit, float least) {
          REQUIRE(static_cast<float>(fp16(unit)) == unit);
          if (unit == 0) {
            REQUIRE(found == 0);
            return;
          }
          const float multiple = found / unit;
          REQUIRE(multiple == std::round(multiple));
          REQUIRE(multiple >= least);
          REQUIRE(multiple <= greatest);
          // Rounded to the nearest multiple, but for one that would be less than the least or beyond the greatest.
          if (multiple > least && multiple < greatest) REQUIRE(std::abs(found - wanted) <= unit * 0.5001f);
        };
        for_each_sharing<Weight>(std::span(std::as_const(shared)), [&](std::size_t first, auto sharing) {
          const shared_units units = units_of<Weight>(sharing);
          float most = 0, most_minimum = 0;
          for (std::size_t g = 0; g != sharing.size(); ++g) {
            REQUIRE(sharing[g].zero_point == grids[first + g].zero_point);
            check_factor(sharing[g].scale, grids[first + g].scale, units.scale, 1);
            check_factor(sharing[g].minimum, grids[first + g].minimum, units.minimum, 0);
            most = std::max(most, sharing[g].scale), most_minimum = std::max(most_minimum, sharing[g].minimum);
          }
          if (size < 0.01f) return;
          REQUIRE(most == greatest * units.scale);  // all factors are in use
          REQUIRE(most_minimum == greatest * units.minimum);
        });
        std::vector<simd::grid> again = shared;
        for (simd::grid& g : again) {  // as a logarithm rounds them
          g.scale *= 1 + 1e-6f * (draw.uniform() - 0.5f);
          g.minimum *= 1 + 1e-6f * (draw.uniform() - 0.5f);
        }
        share_scales<Weight>(again);
        REQUIRE(again == shared);
      }
  };
  check.operator()<weight<3, group<16>, signed_symmetric, clip::none, shared_scale<31>>>();
  check.operator()<weight<6, group<16>, signed_symmetric, clip::none, shared_scale<127>>>();
  check.operator()<weight<2, group<16>, with_minimum, clip::none, shared_scale<15>>>();
  check.operator()<weight<4, group<32>, with_minimum, clip::none, shared_scale<63, 8>>>();
  // Also where rounding the unit takes the greatest multiple beyond half precision: 65504 / 63 is stored as 1040.
  using widest = weight<4, group<32>, with_minimum, clip::none, shared_scale<63, 8>>;
  std::array<simd::grid, 1> wide{{{1, 0, 65504}}};
  share_scales<widest>(wide);
  CHECK(wide[0].minimum == 63 * 1040.0f);
  CHECK(stored_minimum<widest>(wide[0].minimum) == wide[0].minimum);
}

TEST_CASE("a scale times a factor stays a scale that can be stored") {
  constexpr float infinite = std::numeric_limits<float>::infinity();
  CHECK(scaled<weight<4>>(0.5f, 1.5f) == 0.75f);
  CHECK(scaled<weight<4>>(0.5f, 0.0f) == simd::minimum_scale);
  CHECK(scaled<weight<4>>(0.5f, infinite) == simd::maximum_scale);
  CHECK(scaled<half_weight>(0.1f, 1.0f) == static_cast<float>(fp16(0.1f)));
  CHECK(scaled<half_weight>(0.5f, 0.0f) == 0x1p-14f);
  CHECK(scaled<half_weight>(0.5f, infinite) == 65504.0f);
}

TEST_CASE("the grid is the one of the clipping policy") {
  const simd::range r{-1, 2};
  CHECK(grid_of<weight<4>>(r, nullptr).grid == simd::grid_of(r, 4, false));
  const std::array<float, 2> p{0, 1};
  using ranged = weight<4, per_channel, symmetric, clip::range>;
  CHECK(grid_of<ranged>(r, p.data()).grid == clip::range::grid_of(r, 4, zero_points::middle, p.data()).grid);
}

TEST_CASE("with half precision the scale is rounded, and the zero point stays") {
  rng::engine draw({.seed = 33, .use = rng::purpose::data});
  using eight = weight<8, per_channel, asymmetric, clip::none, fp16_scale>;
  for (int i = 0; i != 1000; ++i) {
    const simd::range r{-draw.uniform(), draw.uniform()};
    const simd::grid g = grid_of<eight>(r, nullptr).grid;
    REQUIRE(g.scale == static_cast<float>(fp16(simd::grid_of(r, 8, false).scale)));
    REQUIRE(g.zero_point == simd::grid_of(r, 8, false).zero_point);
    REQUIRE(std::abs(r.min + g.scale * static_cast<float>(g.zero_point)) <= g.scale * 0.626f);
  }
  // Where the scale is cut off, both sides of zero are.
  CHECK(grid_of<half_weight>({-8e9f, 7e9f}, nullptr).grid == simd::grid{65504.0f, 8});
  // A learned zero point stays what was learned.
  using learned = weight<8, per_channel, asymmetric, clip::codes, fp16_scale>;
  std::array<float, 4> p{};
  clip::codes::hold({0.1f, 77}, p.data());
  CHECK(grid_of<learned>({}, p.data()).grid == simd::grid{static_cast<float>(fp16(0.1f)), 77});
}

TEST_CASE("codes are held within the bounds of the grid") {
  const std::vector<float> w{-10, -1, 0, 1, 2, 10};
  std::vector<std::uint8_t> codes(w.size());
  quantize_on<weight<4>>(w, {{1.0f, 3}, 0, 15}, codes.data());
  CHECK(codes == std::vector<std::uint8_t>{0, 2, 3, 4, 5, 13});
  quantize_on<weight<4>>(w, {{1.0f, 3}, 3, 5}, codes.data());
  CHECK(codes == std::vector<std::uint8_t>{3, 3, 3, 4, 5, 5});
  quantize_on<weight<4>>(w, {{1.0f, 3}, 0, 5}, codes.data());
  CHECK(codes == std::vector<std::uint8_t>{0, 2, 3, 4, 5, 5});
  quantize_on<weight<4>>(w, {{1.0f, 3}, 3, 15}, codes.data());
  CHECK(codes == std::vector<std::uint8_t>{3, 3, 3, 4, 5, 13});
}

TEST_CASE("a row is the groups it consists of, each with its own clipping") {
  using clipped = weight<3, group<32>, asymmetric, clip::range>;
  const matrix<float> w = weights(1, 75, 1);
  const std::vector<float> p{0, 3, -1, 2, 1, 0.5f};
  std::vector<std::uint8_t> codes(75), alone(75);
  std::vector<simd::grid> grids(3);
  quantize_row<clipped>(w.row(0), p.data(), codes.data(), grids.data());
  for_each_group<clipped>(75, [&](std::size_t group, std::size_t first, std::size_t count) {
    const auto part = w.row(0).subspan(first, count);
    const code_grid g = grid_of<clipped>(range_of(part), p.data() + 2 * group);
    CHECK(grids[group] == g.grid);
    quantize_on<clipped>(part, g, alone.data() + first);
  });
  CHECK(codes == alone);

  std::vector<float> meant(75);
  dequantize_row<clipped>(codes, grids.data(), meant.data());
  for (std::size_t i = 0; i != 75; ++i) {
    const simd::grid& g = grids[i / 32];
    CHECK(meant[i] == g.scale * static_cast<float>(codes[i] - g.zero_point));
  }
}

TEST_CASE("parts of a product share a grid of weights and one of inputs") {
  const auto check = []<class Weight, class Activation>() {
    for (const std::size_t in : {0u, 1u, 7u, 8u, 9u, 37u, 64u, 70u}) {
      std::size_t next = 0, index = 0;
      for_each_part<Weight, Activation>(in, [&](const product_part& part) {
        CHECK(part.index == index++);
        CHECK(part.first == next);
        REQUIRE(part.count > 0);
        next += part.count;
        for (const std::size_t i : {part.first, next - 1}) {
          CHECK(part.weights == i / Weight::group_size(in));
          if constexpr (!std::is_void_v<Activation>) CHECK(part.inputs == i / Activation::group_size(in));
        }
      });
      CHECK(next == in);
      CHECK(index == parts<Weight, Activation>(in));
    }
  };
  using by_eight = activation<8, group<8>, symmetric>;
  check.operator()<weight<4, group<8>>, void>();
  check.operator()<weight<4, group<8>>, activation<8>>();
  check.operator()<weight<4, group<4>>, by_eight>();
  check.operator()<weight<4, group<32>>, by_eight>();
  check.operator()<weight<4>, by_eight>();
}

TEST_CASE("an empty row has no groups and writes nothing") {
  std::uint8_t code = 9;
  simd::grid g{7.0f, 7};
  float value = 5;
  quantize_row<weight<4, group<32>>>({}, nullptr, &code, &g);
  quantize_row<weight<4>>({}, nullptr, &code, &g);
  dequantize_row<weight<4>>({}, &g, &value);
  CHECK(code == 9);
  CHECK(g == simd::grid{7.0f, 7});
  CHECK(value == 5);
}

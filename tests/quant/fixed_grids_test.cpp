// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/fixed_grids.hpp>

#include <doctest/doctest.h>
#include <zoqat/quant/scheme.hpp>

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>

using namespace zoqat;
using namespace zoqat::quant;

namespace {

constexpr std::array<simd::range, 3> ranges{{{-1, 3}, {0, 0.75f}, {-1e-3f, 0}}};  // they include zero

// The grids that weights of such ranges have under a policy's parameters, held and given back.
template <class Weight>
void check_held(std::initializer_list<float> clipping, std::size_t bytes_each) {
  fixed_grids<Weight> held;
  CHECK(held.empty());
  CHECK(held.bytes() == 0);
  std::size_t spans = 0;  // of fingerprints, which logs of before there were minima hold
  held.for_each_constant([&](auto) { ++spans; });
  CHECK(spans == (Weight::has_minima ? 4 : 3));
  held.resize(ranges.size());
  CHECK(!held.empty());
  CHECK(held.bytes() == bytes_each * ranges.size());
  for (std::size_t i = 0; i != ranges.size(); ++i) held.set(i, grid_of<Weight>(ranges[i], clipping.begin()));
  for (std::size_t i = 0; i != ranges.size(); ++i) {
    const code_grid expected = grid_of<Weight>(ranges[i], clipping.begin());
    CHECK(held[i].grid == expected.grid);
    CHECK(held[i].least == expected.least);
    CHECK(held[i].greatest == expected.greatest);
  }
  std::size_t bytes = 0;
  held.for_each_constant([&](std::span<const std::byte> of) { bytes += of.size(); });
  CHECK(bytes == held.bytes());
}

}  // namespace

TEST_CASE("grids are given back as they were, and take no more than they need") {
  check_held<weight<2, group<128>, asymmetric, clip::none, fp16_scale>>({}, 3);
  check_held<weight<8, per_channel, asymmetric, clip::none>>({}, 5);
  check_held<weight<4, group<32>, with_minimum, clip::none, fp16_scale>>({}, 4);
  check_held<weight<2, group<16>, with_minimum, clip::codes, shared_scale<15>>>({-2.0f, 0.3f, -1.0f, 1.5f}, 10);
  check_held<weight<4, per_channel, symmetric, clip::none>>({}, 4);
  check_held<weight<3, group<64>, asymmetric, clip::range, fp16_scale>>({0.5f, 2.0f}, 3);
  check_held<weight<4, per_channel, asymmetric, clip::codes>>({-2.0f, 5.0f, -1.0f, 1.5f}, 7);
  check_held<weight<8, per_channel, symmetric, clip::codes, fp16_scale>>({-2.0f, 100.0f, -8.0f, 8.0f}, 5);
}

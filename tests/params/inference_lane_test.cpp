// SPDX-License-Identifier: Apache-2.0
#include <zoqat/params/inference_lane.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;

TEST_CASE("an inference lane reads the masters") {
  std::vector<float> masters{1, -2, 3, -4, 5};
  const parameter p{.id = 3, .name = "w", .values = masters};
  CHECK(inference_lane::count() == 1);
  for (std::size_t first = 0; first <= masters.size(); ++first)
    for (std::size_t n = 0; n <= masters.size() - first; ++n) {
      std::vector<float> out(n + 1, 77);
      inference_lane::read(p, first, n, out.data());
      for (std::size_t i = 0; i != n; ++i) CHECK(out[i] == masters[first + i]);
      CHECK(out[n] == 77);
    }
}

TEST_CASE("an inference lane sweeps the masters where they are") {
  std::vector<float> masters{1, -2, 3, -4, 5, -6};
  const parameter p{.id = 3, .name = "w", .values = masters, .row_size = 3};
  sweep_scratch unused;
  std::size_t rows = 0;
  inference_lane::sweep_rows(p, 0, 2, unused, [&](std::size_t r, std::size_t lane, std::span<const lane_values> v) {
    CHECK(r == rows++);
    CHECK(lane == 0);
    REQUIRE(v.size() == 1);
    CHECK(v[0].values == masters.data() + r * 3);
    CHECK(v[0].direction == nullptr);
    CHECK_FALSE(v[0].signs);
  });
  CHECK(rows == 2);
}

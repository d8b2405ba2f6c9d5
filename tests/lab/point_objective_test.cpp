// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/point_objective.hpp>

#include <doctest/doctest.h>
#include <zo/problems.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("every lane's point comes as one vector, as lanes read it") {
  tensors store = assorted();
  std::vector<std::vector<float>> seen;
  const auto note = [&](std::span<const float> x, std::size_t micro_batch) {
    seen.emplace_back(x.begin(), x.end());
    return static_cast<double>(micro_batch) + 0.5;
  };
  const perturbation forth{{5, 2, 1}, {.weight = 0.5f, .step_row = 0.25f}};
  const std::array<perturbation, 3> points{forth, -forth, perturbation{}};
  std::array<double, 3> losses{};
  point_objective objective(store, note);
  objective(lane_points<rademacher>{points, {}}, 4, losses);
  CHECK(losses == std::array{4.5, 4.5, 4.5});
  REQUIRE(seen.size() == 3);
  CHECK(seen[2] == store.values());
  std::vector<std::vector<float>> expected;
  auto through_lanes = objective_of(store, rademacher{}, [&](std::span<const float> x, std::size_t) {
    expected.emplace_back(x.begin(), x.end());
    return 0.0;
  });
  through_lanes({points, {}}, 4, losses);
  CHECK(seen == expected);
}

TEST_CASE("a function without micro-batches, and one that is told of steps") {
  struct told {
    std::uint32_t step = 0;
    void select(std::uint32_t s) { step = s; }
    double operator()(std::span<const float>) const { return step; }
  };
  tensors store = assorted();
  point_objective objective(store, told{});
  point_objective copy = objective;
  objective.select(9);
  const std::array<perturbation, 1> here{};
  std::array<double, 1> loss{};
  objective(lane_points<gaussian>{here, {}}, 0, loss);
  CHECK(loss[0] == 9);
  copy(lane_points<gaussian>{here, {}}, 0, loss);
  CHECK(loss[0] == 0);
}

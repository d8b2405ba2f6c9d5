// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/difference.hpp>

#include <doctest/doctest.h>
#include <zo/policies.hpp>
#include <zoqat/zo/estimator.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

struct without_slopes {
  static std::size_t lanes(std::size_t q) { return q; }
  static void place(std::span<const perturbation>, std::span<perturbation>) {}
};

}  // namespace

static_assert(difference<central> && !difference<without_slopes> && !difference<int>);

TEST_CASE("central differences are antithetic pairs") {
  const perturbation a{{1, 2, 0}, {.weight = 0.5f}}, b{{1, 2, 1}, {.weight = 0.5f}};
  const std::array along{a, b};
  std::vector<perturbation> lanes(central::lanes(2));
  REQUIRE(lanes.size() == 4);
  central::place(along, lanes);
  for (std::size_t i = 0; i != 4; ++i) {
    CHECK(lanes[i].along == along[i / 2].along);
    CHECK(lanes[i].scale.weight == (i % 2 == 0 ? 0.5f : -0.5f));
  }
  std::vector<double> slopes(2);
  central::half_differences(along, std::array{5.0, 2.0, -1.0, 3.0}, slopes);
  CHECK(slopes == std::vector<double>{1.5, -2});
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/workers/share.hpp>

#include <doctest/doctest.h>
#include <support/quadratic.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::workers;

TEST_CASE("shares cover a step once, in order, as evenly as they can, and part no pair") {
  for (const std::size_t lanes : {2u, 6u, 10u})
    for (const std::size_t micro_batches : {1u, 3u, 4u})
      for (std::size_t workers = 1; workers != 18; ++workers) {
        std::uint32_t next = 0;
        std::size_t most = 0, least = lanes * micro_batches;
        for (std::size_t i = 0; i != workers; ++i) {
          const share of = share_of(lanes, micro_batches, 2, i, workers);
          CHECK(of.begin == next);
          CHECK(of.begin % 2 == 0);
          next = of.end;
          most = std::max(most, of.size());
          least = std::min(least, of.size());
        }
        CHECK(next == lanes * micro_batches);
        CHECK(most - least <= 2);
      }
}

TEST_CASE("a share is evaluated in one call for each micro-batch") {
  std::vector<std::array<std::size_t, 3>> runs;
  for_each_run({4, 15}, 6, [&](std::size_t m, std::size_t first, std::size_t count) {
    runs.push_back({m, first, count});
  });
  CHECK(runs == std::vector<std::array<std::size_t, 3>>{{0, 4, 2}, {1, 0, 6}, {2, 0, 3}});
  for_each_run({4, 4}, 6, [&](std::size_t, std::size_t, std::size_t) { FAIL("nothing is to be evaluated"); });
}

TEST_CASE("the losses of all shares are those of the whole step, bit for bit") {
  zoqat::testing::quadratic q;
  q.estimator.directions = 3;
  q.estimator.micro_batches = 4;
  const auto asked = q.estimator.ask(7);
  const loss_table whole = evaluate(q, asked);
  for (const std::size_t workers : {1u, 2u, 3u, 5u, 7u, 12u, 20u}) {
    loss_table table = asked.losses();
    for (std::size_t i = workers; i-- != 0;) {
      const share of = share_of(6, 4, 2, i, workers);
      set_share(table, of, evaluate_share(q, asked, of));
    }
    REQUIRE(table.complete());
    for (std::size_t m = 0; m != 4; ++m) CHECK(std::ranges::equal(table.of(m), whole.of(m)));
  }
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/losses.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <array>
#include <cmath>
#include <limits>

using namespace zoqat;
using namespace zoqat::zo;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

TEST_CASE("losses come in any order, and it is known which are missing") {
  loss_table table(2, 3);
  CHECK(table.lanes() == 2);
  CHECK(table.micro_batches() == 3);
  CHECK_FALSE(table.complete());
  table.set(1, 2, 12.0);
  table.set(0, 0, 0.0);
  CHECK(table.has(1, 2));
  CHECK_FALSE(table.has(0, 2));
  CHECK(std::isnan(table(0, 2)));
  table.set(1, std::array{1.0, 11.0});
  table.set(0, 2, 2.0);
  CHECK_FALSE(table.complete());
  table.set(1, 0, 10.0);
  CHECK(table.complete());
  for (std::size_t m = 0; m != 3; ++m)
    for (std::size_t lane = 0; lane != 2; ++lane) {
      CHECK(table(lane, m) == static_cast<double>(10 * lane + m));
      CHECK(table.of(m)[lane] == table(lane, m));
    }
}

TEST_CASE("a loss that is told twice, or of a lane that there is not, is refused by name") {
  loss_table table(2, 1);
  table.set(1, 0, 1.0);
  check_mentions(message_of<value_error>([&] { table.set(1, 0, 2.0); }), "lane 1", "micro-batch 0", "before");
  check_mentions(message_of<value_error>([&] { table.set(2, 0, 2.0); }), "no lane 2", "2 lanes on 1");
  check_mentions(message_of<value_error>([&] { table.set(0, 1, 2.0); }), "micro-batch 1");
  check_mentions(message_of<value_error>([&] { table.set(0, std::array{1.0}); }), "1 losses", "2 lanes");
  CHECK(table(1, 0) == 1.0);
}

TEST_CASE("a table is spoiled by a loss that is no finite float, not by one that is missing") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e300}) {
    loss_table table(2, 1);
    CHECK_FALSE(table.spoiled());
    table.set(1, 0, bad);
    CHECK(table.spoiled());
  }
  CHECK(loss_table().complete());
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/step_data.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("data follows from seed and step alone, and every chunk has its turn") {
  CHECK(train::draw_chunks(10, 4, 1, 2) == train::draw_chunks(10, 4, 1, 2));
  CHECK(train::draw_chunks(1000, 4, 1, 2) != train::draw_chunks(1000, 4, 1, 3));
  CHECK(train::draw_chunks(1000, 4, 1, 2) != train::draw_chunks(1000, 4, 2, 2));
  CHECK(train::draw_chunks(10, 0, 1, 2).empty());
  std::set<std::uint32_t> seen;
  for (std::uint32_t step = 0; step != 40; ++step)
    for (const std::uint32_t chunk : train::draw_chunks(10, 4, 1, step)) seen.insert(chunk);
  CHECK(seen.size() == 10);
  CHECK(*seen.rbegin() == 9);
}

TEST_CASE("a batch is dealt out to micro-batches in turn") {
  train::step_data data(100, 5, 2, 7);
  CHECK(data.micro_batches() == 2);
  CHECK(data.of(0).empty());  // nothing was selected yet
  for (const std::uint32_t step : {3u, 4u, 3u}) {
    data.select(step);
    const auto drawn = train::draw_chunks(100, 5, 7, step);
    using items = std::vector<std::uint32_t>;
    REQUIRE(drawn.size() == 5);
    items even, odd;
    for (std::size_t i = 0; i != drawn.size(); ++i) (i % 2 == 0 ? even : odd).push_back(drawn[i]);
    CHECK(items(data.of(0).begin(), data.of(0).end()) == even);
    CHECK(items(data.of(1).begin(), data.of(1).end()) == odd);
  }
}

TEST_CASE("micro-batches that are not there are refused with the numbers") {
  check_mentions(message_of<value_error>([] { train::step_data(9, 2, 3, 0); }), "batch of 2", "3 micro-batches");
  check_mentions(message_of<value_error>([] { train::step_data(9, 2, 0, 0); }), "0 micro-batches");
  const train::step_data data(9, 2, 2, 0);
  const volatile std::size_t missing = 2;  // known to GCC, it would warn of what is never reached
  check_mentions(message_of<value_error>([&] { static_cast<void>(data.of(missing)); }), "micro-batch 2", "has 2");
}

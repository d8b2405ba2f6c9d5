// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/plural.hpp>

#include <doctest/doctest.h>

#include <cstdint>

using zoqat::plural;

TEST_CASE("a number agrees with the noun that follows it") {
  CHECK(fmt::format("{} rejected", plural(1, "step")) == "1 step rejected");
  CHECK(fmt::format("{} rejected", plural(0u, "step")) == "0 steps rejected");
  CHECK(fmt::format("{}", plural(std::uint64_t{2}, "step")) == "2 steps");
  CHECK(fmt::format("{}", plural(-1, "byte")) == "-1 bytes");
  CHECK(fmt::format("{}", plural(3, "micro-batch")) == "3 micro-batches");
  CHECK(fmt::format("{}", plural(2, "loss")) == "2 losses");
}

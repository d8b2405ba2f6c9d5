// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/byte_junctions.hpp>

#include <doctest/doctest.h>

using namespace zoqat;

TEST_CASE("texts may join where a piece holds the bytes that meet") {
  text::byte_junctions joins;
  CHECK_FALSE(joins.allow("a", "b"));
  joins.allow_within("");
  joins.allow_within("x");
  joins.allow_within("ab\xff");
  CHECK(joins.allow("a", "b"));
  CHECK(joins.allow("xa", "by"));
  CHECK(joins.allow("b", "\xff"));
  CHECK_FALSE(joins.allow("b", "a"));
  CHECK_FALSE(joins.allow("\xff", "a"));
  CHECK_FALSE(joins.allow("x", "x"));
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/name_pattern.hpp>

#include <doctest/doctest.h>

using zoqat::matches_pattern;

TEST_CASE("a pattern matches all of a name or nothing") {
  CHECK(matches_pattern("layers.3.wq", "layers.3.wq"));
  CHECK(matches_pattern("layers.3.*", "layers.3.wq"));
  CHECK(matches_pattern("*.w[qv]", "layers.3.wq"));
  CHECK_FALSE(matches_pattern("*.w[qv]", "layers.3.wk"));
  CHECK_FALSE(matches_pattern("wq", "layers.3.wq"));
  CHECK_FALSE(matches_pattern("layers.?.wq", "layers.13.wq"));
}

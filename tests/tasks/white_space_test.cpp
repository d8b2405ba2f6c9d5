// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/white_space.hpp>

#include <doctest/doctest.h>

using namespace zoqat;

TEST_CASE("white space goes from both ends and stays inside") {
  CHECK(tasks::trimmed("") == "");
  CHECK(tasks::trimmed(" \t\r\n\f\v") == "");
  CHECK(tasks::trimmed("a") == "a");
  CHECK(tasks::trimmed("\n a  b\t") == "a  b");
}

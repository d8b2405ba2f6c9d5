// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/reverse/tape.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zoqat/lab/reverse/operations.hpp>

using namespace zoqat;
using namespace zoqat::lab::reverse;

TEST_CASE("a value that is read several times collects what all its readers say") {
  tape t;
  const variable x = t.input(matrix<double>(1, 1, 3.0));
  const variable cube = multiply(t, multiply(t, x, x), x);
  t.backward(add(t, cube, x));
  CHECK(cube->value(0, 0) == 27);
  CHECK(x->gradient(0, 0) == 28);  // 3x² + 1
}

TEST_CASE("what the result does not follow from has no derivative") {
  tape t;
  const variable x = t.input(matrix<double>(1, 1, 3.0)), apart = multiply(t, x, x),
                 y = t.input(matrix<double>(1, 1, 2.0));
  t.backward(multiply(t, y, y));
  CHECK(apart->gradient(0, 0) == 0);
  CHECK(x->gradient(0, 0) == 0);
  CHECK(y->gradient(0, 0) == 4);
}

TEST_CASE("only a single number has a derivative") {
  tape t;
  const variable x = t.input(matrix<double>(2, 1, 3.0));
  zoqat::testing::check_mentions(zoqat::testing::message_of<value_error>([&] { t.backward(x); }), "[2, 1]");
}

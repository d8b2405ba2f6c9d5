// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/python_random.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("samples are those of CPython, draw after draw, by rejection and from a pool") {
  // python3 -c "import random; r = random.Random(1234); print(r.sample(range(7473), 5), …)"
  using numbers = std::vector<std::size_t>;
  tasks::python_random draw(1234);
  CHECK(draw.sample(7473, 5) == numbers{6374, 3610, 957, 61, 742});
  CHECK(draw.sample(7473, 5) == numbers{7462, 6610, 4769, 286, 5501});
  CHECK(draw.sample(30, 6) == numbers{22, 2, 3, 24, 11, 7});
  CHECK(draw.sample(10, 5) == numbers{0, 9, 8, 2, 5});
  CHECK(draw.sample(3000, 25) == numbers{2552, 1983, 2522, 1898, 608, 373,  749,  2922, 468,  59,   2060, 1993, 1023,
                                         264,  2733, 2216, 1908, 280, 2463, 2765, 364,  2109, 2371, 188,  1104});
  CHECK(tasks::python_random(0).sample(7, 0).empty());
}

TEST_CASE("more than there is cannot be drawn") {
  tasks::python_random draw(1);
  CHECK(draw.sample(3, 3).size() == 3);
  check_mentions(message_of<value_error>([&] { static_cast<void>(draw.sample(3, 4)); }), "4 of 3 numbers");
}

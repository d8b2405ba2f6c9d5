// SPDX-License-Identifier: Apache-2.0
#include <common/number_argument.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <array>
#include <cstdint>
#include <string>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

TEST_CASE("an argument is a number as a whole, or refused with what it is for") {
  std::string name = "train", given;
  std::array<char*, 2> arguments{name.data(), nullptr};
  const auto number = [&](const char* text) {
    given = text;
    arguments[1] = given.data();
    return number_argument<std::uint32_t>(2, arguments.data(), 1, "steps", 7);
  };
  CHECK(number("12") == 12);
  CHECK(number("0") == 0);
  for (const char* none : {"", "-1", "1e3", "12x", " 1", "abc", "4294967296"})
    check_mentions(message_of<value_error>([&] { static_cast<void>(number(none)); }), "steps: ", none, "no number");
  CHECK(number_argument<std::uint32_t>(1, arguments.data(), 1, "steps", 7) == 7);
  CHECK_NOTHROW(require_at_most(2, arguments.data(), 2));
  check_mentions(message_of<value_error>([&] { require_at_most(2, arguments.data(), 1); }), "'4294967296'",
                 "too many");
}

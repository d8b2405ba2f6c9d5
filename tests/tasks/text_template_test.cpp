// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/text_template.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <string>
#include <string_view>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::string fill(std::string_view text) { return tasks::text_template(text, {"a", "bc"})({"1", "{a}"}); }
std::string failure(std::string_view text) {
  return message_of<value_error>([&] { static_cast<void>(fill(text)); });
}

}  // namespace

TEST_CASE("placeholders are filled in, once, and doubled braces are single ones") {
  CHECK(fill("") == "");
  CHECK(fill("no fields") == "no fields");
  CHECK(fill("{a}") == "1");
  CHECK(fill("x{bc}y{a}{a}z") == "x{a}y11z");
  CHECK(fill("{{a}} {{{a}}}") == "{a} {1}");
  CHECK(fill("}}{{") == "}{");
}

TEST_CASE("other placeholders and lone braces are refused by name") {
  check_mentions(failure("Is {b}?"), "\"Is {b}?\"", "no field {b}", "{a}, {bc}");
  check_mentions(failure("{}"), "no field {}");
  check_mentions(failure("{ a}"), "no field { a}");
  check_mentions(failure("ab{a"), "'{' at character 3");
  check_mentions(failure("a}"), "'}' at character 2");
  check_mentions(failure("{a{bc}}"), "'{' at character 1");
  check_mentions(failure("{"), "'{' at character 1");
}

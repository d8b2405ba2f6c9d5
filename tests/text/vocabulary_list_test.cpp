// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/vocabulary_list.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("texts are put at their ids in any order") {
  text::vocabulary_list list("the/file");
  list.add("b", 1);
  list.add_all(io::json{{"c", 2}, {"a", 0}, {"b", 1}});
  CHECK(list.contiguous() == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("holes, two texts of one id and ids out of range are refused") {
  text::vocabulary_list list("the/file");
  check_mentions(message_of<io_error>([&] { static_cast<void>(list.contiguous()); }), "the/file", "empty");
  list.add("c", 2);
  check_mentions(message_of<io_error>([&] { static_cast<void>(list.contiguous()); }), "the id 0", "'c'");
  check_mentions(message_of<io_error>([&] { list.add("d", 2); }), "the/file", "'c' and 'd'", "token 2");
  check_mentions(message_of<io_error>([&] { list.add("", 3); }), "token 3 is empty");
  check_mentions(message_of<io_error>([&] { list.add("d", std::size_t{1} << 24); }), "'d'", "16777216");
  check_mentions(message_of<io_error>([&] { list.add_all(io::json::array({1})); }), "object", "array");
  check_mentions(message_of<io_error>([&] { list.add_all(io::json{{"d", "x"}}); }), "\"d\"", "\"x\"");
}

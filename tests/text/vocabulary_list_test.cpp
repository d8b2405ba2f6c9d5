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
  check_mentions(message_of<io_error>([&] { list.add("d", text::max_tokens); }), "'d'", "524288");
  check_mentions(message_of<io_error>([&] { list.add_all(io::json::array({1})); }), "object", "array");
  check_mentions(message_of<io_error>([&] { list.add_all(io::json{{"d", "x"}}); }), "\"d\"", "\"x\"");
}

TEST_CASE("an id far above the number of tokens is refused before there is memory for all below it") {
  text::vocabulary_list list("the/file");
  check_mentions(message_of<io_error>([&] { list.add("a", 500'000); }), "the/file", "'a' is token 500000",
                 "65537 tokens");
  check_mentions(message_of<io_error>([&] { list.add_all(io::json{{"a", 0}, {"b", 500'000}}); }), "'b'", "500000");
  list.add("c", 60'000);  // others may come
  CHECK(list.texts().size() == 60'001);
}

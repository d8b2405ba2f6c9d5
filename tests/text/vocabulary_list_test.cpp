// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/vocabulary_list.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstddef>
#include <string>
#include <utility>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("texts are put at their ids in any order") {
  text::vocabulary_list list("the/file");
  list.add("b", 1);
  list.add_all(io::json{{"c", 2}, {"a", 0}, {"b", 1}});
  list.require_contiguous();
  const text::piece_table texts = std::move(list).take();
  CHECK(texts.size() == 3);
  for (std::size_t id = 0; id != 3; ++id) CHECK(texts[id] == std::string(1, static_cast<char>('a' + id)));
}

TEST_CASE("holes, two texts of one id and ids out of range are refused") {
  text::vocabulary_list list("the/file");
  check_mentions(message_of<io_error>([&] { list.require_contiguous(); }), "the/file", "empty");
  list.add("c", 2);
  check_mentions(message_of<io_error>([&] { list.require_contiguous(); }), "the id 0", "'c'");
  check_mentions(message_of<io_error>([&] { list.add("d", 2); }), "the/file", "'c' and 'd'", "token 2");
  check_mentions(message_of<io_error>([&] { list.add("", 3); }), "token 3 is empty");
  check_mentions(message_of<io_error>([&] { list.add("d", text::max_tokens); }), "'d'", "524288");
  check_mentions(message_of<io_error>([&] { list.add_all(io::json::array({1})); }), "object", "array");
  check_mentions(message_of<io_error>([&] { list.add_all(io::json{{"d", "x"}}); }), "\"d\"", "\"x\"");
}

TEST_CASE("a member that comes twice is refused") {
  text::vocabulary_list list("the/file", 100);
  io::json id = 3;
  list.add(io::json_part{.in_object = true, .name = "a", .value = id});
  check_mentions(message_of<io_error>([&] { list.add(io::json_part{.in_object = true, .name = "a", .value = id}); }),
                 "the/file", "\"a\" comes twice");
  list.add("a", 3);  // as an added token of the same id
  CHECK(list.texts().size() == 4);
}

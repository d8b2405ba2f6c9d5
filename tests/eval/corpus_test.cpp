// SPDX-License-Identifier: Apache-2.0
#include <zoqat/eval/corpus.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using views = std::vector<std::string_view>;

views split(std::string_view text, std::size_t min_characters = 0) {
  return eval::split_documents(text, {.separator = "<>", .min_characters = min_characters});
}
/// BOS (0), then each character's number.
std::vector<std::uint32_t> encode(std::string_view document) {
  std::vector<std::uint32_t> tokens{0};
  for (const char c : document) tokens.push_back(static_cast<std::uint32_t>(c));
  return tokens;
}

}  // namespace

TEST_CASE("a text falls into documents at its separators") {
  CHECK(split("a<>bc<>d") == views{"a", "bc", "d"});
  CHECK(split("<> a b\r\n<>\n\t<><>c \n") == views{"a b", "c"});
  CHECK(split("no separator") == views{"no separator"});
  CHECK(split("a<") == views{"a<"});
  CHECK(split("").empty());
  CHECK(split(" \n").empty());
  CHECK(split("<>").empty());
}

TEST_CASE("short documents are left out") {
  CHECK(split("abc<>abcd<>  abc  <>abcde", 3) == views{"abcd", "abcde"});
  const std::string at_limit(200, 'x');
  CHECK(eval::split_documents(at_limit).empty());
  CHECK(eval::split_documents(at_limit + "y").size() == 1);
  std::size_t left_out = 2;
  CHECK(eval::split_documents(at_limit + "<|endoftext|> <|endoftext|>" + at_limit + "z", {}, &left_out).size() == 1);
  CHECK(left_out == 3);  // what is empty is no document
  CHECK(eval::split_documents(at_limit + "y<|endoftext|>" + at_limit + "z").size() == 2);
}

TEST_CASE("documents are encoded one by one and cut into chunks; the rest is dropped") {
  const views documents{"a", "bcd", "ef"};
  CHECK(eval::chunk_documents(documents, 3, encode) == eval::chunks{{0, 'a', 0}, {'b', 'c', 'd'}, {0, 'e', 'f'}});
  CHECK(eval::chunk_documents(documents, 4, encode) == eval::chunks{{0, 'a', 0, 'b'}, {'c', 'd', 0, 'e'}});
  CHECK(eval::chunk_documents(documents, 9, encode).size() == 1);
  CHECK(eval::chunk_documents(documents, 1, encode).size() == 9);
}

TEST_CASE("what makes no chunk is refused with the numbers") {
  const auto failure = [](const views& documents, std::size_t length) {
    return message_of<value_error>([&] { static_cast<void>(eval::chunk_documents(documents, length, encode)); });
  };
  check_mentions(failure({"ab", "c"}, 6), "2 documents", "5 tokens", "one chunk of 6");
  check_mentions(failure({}, 6), "0 documents");
  check_mentions(failure({"ab"}, 0), "chunks of no tokens");
  check_mentions(message_of<value_error>([] { static_cast<void>(eval::split_documents("a", {.separator = ""})); }),
                 "separator");
}

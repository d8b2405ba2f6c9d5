// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/utf8_characters.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using parts = std::vector<std::string>;

namespace {

parts characters(std::string_view text) {
  parts found;
  text::for_each_character(text, [&](std::string_view character) { found.emplace_back(character); });
  return found;
}

}  // namespace

TEST_CASE("a text falls into its characters") {
  CHECK(characters("").empty());
  CHECK(characters("aé€😀b") == parts{"a", "é", "€", "😀", "b"});
  CHECK(characters(std::string_view("\0a", 2)) == parts{std::string(1, '\0'), "a"});
}

TEST_CASE("bytes that are no UTF-8 are characters too") {
  CHECK(characters("\xff\xfe") == parts{"\xff", "\xfe"});
  CHECK(characters("\x80\x80\x80\x80\x80") == parts{"\x80\x80\x80\x80", "\x80"});
  CHECK(characters("a\x80z\xe2\x82") == parts{"a\x80", "z", "\xe2\x82"});
}

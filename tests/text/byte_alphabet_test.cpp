// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/byte_alphabet.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace zoqat;

namespace {

std::string spelled(std::string_view bytes) {
  std::string text;
  text::append_spelling(text, bytes);
  return text;
}

}  // namespace

TEST_CASE("bytes are spelled as GPT-2 does") {
  CHECK(spelled("Az!~09") == "Az!~09");
  CHECK(spelled(" \n\t\x7f") == "ĠĊĉġ");
  CHECK(spelled(std::string_view("\0", 1)) == "Ā");
  CHECK(spelled("\x80\xa0\xa1\xac\xad\xae\xff") == "Ģł¡¬Ń®ÿ");
}

TEST_CASE("every byte has a character of its own, and comes back") {
  std::set<std::string> seen;
  std::string all;
  for (int b = 0; b != 256; ++b) {
    const std::string byte(1, static_cast<char>(b));
    CHECK(seen.insert(spelled(byte)).second);
    all += byte;
  }
  std::string back = "before ";
  CHECK(text::append_spelled_bytes(back, spelled(all)));
  CHECK(back == "before " + all);
}

TEST_CASE("what spells no bytes is left alone") {
  for (const std::string text : {" ", "a b", "\n", "ń", "€", "😀", "a\x80", "\xc3"}) {
    CAPTURE(text);
    std::string bytes = "before";
    CHECK_FALSE(text::append_spelled_bytes(bytes, text));
    CHECK(bytes == "before");
  }
  std::string bytes;
  CHECK(text::append_spelled_bytes(bytes, ""));
  CHECK(bytes.empty());
}

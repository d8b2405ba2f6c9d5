// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/unicode.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using matches = std::vector<std::string>;

namespace {

matches find(const text::unicode_pattern& pattern, std::string_view text) {
  matches found;
  text::unicode_matcher(pattern).for_each(
      text, [&](std::size_t begin, std::size_t end) { found.emplace_back(text.substr(begin, end - begin)); });
  return found;
}
matches find(std::string_view pattern, std::string_view text) { return find(text::unicode_pattern(pattern), text); }

}  // namespace

TEST_CASE("Unicode's classes") {
  CHECK(find("\\p{L}+", "aé日𝒜 1ʰ") == matches{"aé日𝒜", "ʰ"});
  CHECK(find("\\p{N}+", "1½Ⅷ٣ a²") == matches{"1½Ⅷ٣", "²"});
  CHECK(find("\\s+", "a\u00a0\u3000b\u180ec\u200bd\x1c\u0085\u2028e\v") ==
        matches{"\u00a0\u3000", "\u0085\u2028", "\v"});
  CHECK(find("\\s+(?!\\S)|\\s+", "   a b  ") == matches{"  ", " ", " ", "  "});
}

TEST_CASE("places are bytes, whatever comes before") {
  CHECK(find("x", "é日😀\xff\xe2\x82x\xf0\x9f\x91x") == matches{"x", "x"});
  CHECK(find("", "é") == matches{"", ""});
  CHECK(find("x", "").empty());
  CHECK(find("x", std::string_view("\0x", 2)) == matches{"x"});
}

TEST_CASE("bytes that are no UTF-8 are one U+FFFD for each ill-formed sequence") {
  CHECK(find("[^\\s\\p{L}\\p{N}]+",
             "a\xff\xfe"
             "b \x80 c\xe2\x82"
             "d") == matches{"\xff\xfe", "\x80", "\xe2\x82"});
  CHECK(find("\\uFFFD", "\xe2\x82\xff\ufffd\xc0\x80") == matches{"\xe2\x82", "\xff", "\ufffd", "\xc0", "\x80"});
}

TEST_CASE("the dialect of tokenizers' patterns") {
  CHECK(find("(?i:'s|'t)", "It'S 't 'x") == matches{"'S", "'t"});
  CHECK(find("\\p{N}{1,3}", "12345") == matches{"123", "45"});
  CHECK(find("a++", "aab") == matches{"aa"});
  CHECK(find("^b|a$", "a\nb a") == matches{"a", "b", "a"});
  CHECK(find("^b", "a\rb\u2028b").empty());  // only a line feed ends a line
  CHECK(find("[一-龥぀-ゟ]+", "a漢字かなb") == matches{"漢字かな"});
}

TEST_CASE("a literal is no expression") {
  CHECK(find(text::unicode_pattern::literal("."), "a.b") == matches{"."});
  CHECK(find(text::unicode_pattern::literal("(▁"), "x(▁") == matches{"(▁"});
  check_mentions(message_of<value_error>([] { static_cast<void>(text::unicode_pattern::literal("")); }), "empty");
}

TEST_CASE("a matcher is used again, and outlives its pattern") {
  auto pattern = std::make_unique<text::unicode_pattern>("b");
  text::unicode_matcher matcher(*pattern);
  pattern.reset();
  for (const std::string_view text : {"abb", "", "b"}) {
    std::size_t count = 0;
    matcher.for_each(text, [&](std::size_t, std::size_t) { ++count; });
    CHECK(count == static_cast<std::size_t>(std::ranges::count(text, 'b')));
  }
}

TEST_CASE("a long text is no endless one, however often a matcher is used") {
  text::unicode_matcher matcher(text::unicode_pattern("'s| ?\\p{L}+| ?\\p{N}+|\\s+(?!\\S)|\\s+"));
  std::string text;
  while (text.size() < 8'000'000) text += "the words  of a 1 text ";
  for (int round = 0; round != 2; ++round) {
    std::size_t bytes = 0;
    matcher.for_each(text, [&](std::size_t begin, std::size_t end) { bytes += end - begin; });
    CHECK(bytes == text.size());
  }
  std::size_t count = 0;
  text::unicode_matcher(text::unicode_pattern("(a|b)+c")).for_each(text, [&](std::size_t, std::size_t) { ++count; });
  CHECK(count == 0);
}

TEST_CASE("malformed and endless expressions are refused") {
  check_mentions(message_of<value_error>([] { text::unicode_pattern("a(b"); }), "'a(b'", "U_REGEX_MISMATCHED_PAREN");
  const std::string text(40, 'a');
  check_mentions(message_of<value_error>([&] { find("(a+)+$(?!\\n)b", text); }), "'(a+)+$", "U_REGEX_TIME_OUT");
}

TEST_CASE("normal forms") {
  CHECK(text::normalize("e\u0301 \u212b ﬁ", text::unicode_form::nfc) == "é Å ﬁ");
  CHECK(text::normalize("é", text::unicode_form::nfd) == "e\u0301");
  CHECK(text::normalize("ﬁ²", text::unicode_form::nfkc) == "fi2");
  CHECK(text::normalize("ﬁé", text::unicode_form::nfkd) == "fie\u0301");
  CHECK(text::normalize("", text::unicode_form::nfc).empty());
  for (const auto form :
       {text::unicode_form::nfc, text::unicode_form::nfd, text::unicode_form::nfkc, text::unicode_form::nfkd})
    CHECK(text::normalize("a\xff\xe2\x82 \xc0\x80z", form) == "a\xff\xe2\x82 \xc0\x80z");
}

TEST_CASE("white space at the ends") {
  CHECK(text::leading_white_space("") == 0);
  CHECK(text::leading_white_space("a ") == 0);
  CHECK(text::leading_white_space(" \u3000\na ") == 5);
  CHECK(text::leading_white_space("  ") == 2);
  CHECK(text::trailing_white_space("") == 0);
  CHECK(text::trailing_white_space(" a") == 0);
  CHECK(text::trailing_white_space(" a\u00a0\t\u2028") == 6);
  CHECK(text::trailing_white_space(" \xff ") == 1);
}

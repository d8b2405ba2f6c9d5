// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/text_pieces.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using text::split_behavior;
using parts = std::vector<std::string>;

namespace {

parts list(const text::text_pieces& pieces) {
  parts found;
  pieces.for_each([&](std::string_view piece) { found.emplace_back(piece); });
  return found;
}
parts split(std::string_view text, std::string_view pattern, split_behavior behavior, bool invert = false) {
  text::text_pieces pieces(std::string(text), true);
  pieces.split(text::unicode_pattern(pattern), behavior, invert);
  return list(pieces);
}

}  // namespace

TEST_CASE("a text is one piece, an empty one none") {
  CHECK(list({"ab", true}) == parts{"ab"});
  CHECK(list({"", true}).empty());
  CHECK(text::text_pieces("", true).at_start());
  CHECK_FALSE(text::text_pieces("a", false).at_start());
}

// The examples of Hugging Face's documentation of SplitDelimiterBehavior, and their inversions.
TEST_CASE("what becomes of the matches") {
  const std::string_view text = "the-final--countdown";
  CHECK(split(text, "-", split_behavior::removed) == parts{"the", "final", "countdown"});
  CHECK(split(text, "-", split_behavior::isolated) == parts{"the", "-", "final", "-", "-", "countdown"});
  CHECK(split(text, "-", split_behavior::merged_with_previous) == parts{"the-", "final-", "-", "countdown"});
  CHECK(split(text, "-", split_behavior::merged_with_next) == parts{"the", "-final", "-", "-countdown"});
  CHECK(split(text, "-", split_behavior::contiguous) == parts{"the", "-", "final", "--", "countdown"});

  CHECK(split(text, "-", split_behavior::removed, true) == parts{"-", "-", "-"});
  CHECK(split(text, "-", split_behavior::isolated, true) == parts{"the", "-", "final", "-", "-", "countdown"});
  CHECK(split(text, "-", split_behavior::merged_with_previous, true) == parts{"the", "-final", "-", "-countdown"});
  CHECK(split(text, "-", split_behavior::merged_with_next, true) == parts{"the-", "final-", "-", "countdown"});
}

TEST_CASE("matches at the ends, none at all, and nothing but") {
  CHECK(split("-a-", "-", split_behavior::merged_with_previous) == parts{"-", "a-"});
  CHECK(split("-a-", "-", split_behavior::merged_with_next) == parts{"-a", "-"});
  CHECK(split("--", "-", split_behavior::removed).empty());
  CHECK(split("a", "-", split_behavior::removed) == parts{"a"});
  CHECK(split("", "-", split_behavior::isolated).empty());
  CHECK(split("ab", "x*", split_behavior::isolated) == parts{"a", "b"});  // empty matches cut
}

TEST_CASE("pieces are cut each on its own") {
  text::text_pieces pieces("a-b c-d", true);
  pieces.split(text::unicode_pattern(" "), split_behavior::isolated);
  pieces.split(text::unicode_pattern("^.|-"), split_behavior::isolated);
  CHECK(list(pieces) == parts{"a", "-", "b", " ", "c", "-", "d"});
}

TEST_CASE("pieces get new texts, and go when they are empty") {
  text::text_pieces pieces("a b", true);
  pieces.split(text::unicode_pattern(" "), split_behavior::isolated);
  pieces.rewrite([](std::string& out, std::string_view piece, bool first) {
    if (piece != " ") out.append(first ? "<" : ">").append(piece);
  });
  CHECK(list(pieces) == parts{"<a", ">b"});
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/text_normalizer.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace zoqat;

TEST_CASE("a text gets a prefix unless it is empty") {
  const text::prepend_text step{"▁"};
  CHECK(step("a") == "▁a");
  CHECK(step("▁a") == "▁▁a");
  CHECK(step("").empty());
}

TEST_CASE("matches are replaced, and the rest stays") {
  const text::replace_matches spaces{text::unicode_pattern::literal(" "), "▁"},
      runs{text::unicode_pattern("\\s+"), "$0"};
  CHECK(spaces(" a  b\xff ") == "▁a▁▁b\xff▁");
  CHECK(spaces("ab") == "ab");
  CHECK(spaces("").empty());
  CHECK(runs("a \n b") == "a$0b");  // the content is no expression
}

TEST_CASE("steps follow one another") {
  const text::normalizer_sequence steps{{text::prepend_text{" "},
                                         text::replace_matches{text::unicode_pattern(" "), "_"},
                                         text::normalize_form{text::unicode_form::nfc}}};
  CHECK(steps("a e\u0301") == "_a_é");
  CHECK(text::normalizer_sequence{}("a") == "a");
}

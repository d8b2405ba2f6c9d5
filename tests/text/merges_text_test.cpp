// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/merges_text.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>

#include <string_view>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::size_t merges_of(std::string_view text) {
  text::bpe_model model({"#", "##", "a", "b", "ab", "#version:", "0.2", "#version:0.2"}, "vocabulary", {});
  text::add_merge_lines(model, text, "the/file");
  return model.merges();
}

}  // namespace

TEST_CASE("a line is a merge, but for a heading and empty lines") {
  CHECK(merges_of("") == 0);
  CHECK(merges_of("\n\n") == 0);
  CHECK(merges_of("#version: 0.2") == 0);
  CHECK(merges_of("#version: 0.2\n# #\n\na b") == 2);
  CHECK(merges_of("# #\r\na b\r\n") == 2);
  CHECK(merges_of("a b\n#version: 0.2\n") == 2);  // a heading comes first
}

TEST_CASE("other lines are refused by their number") {
  check_mentions(message_of<io_error>([] { merges_of("#version: 0.2\n\nab\n"); }), "the/file: line 3", "'ab'");
  check_mentions(message_of<io_error>([] { merges_of("a b\na  b\n"); }), "line 2", "'a  b'");
  check_mentions(message_of<io_error>([] { merges_of("b a\n"); }), "line 1", "'ba'");
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/added_tokens.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using text::special_spelling;
using parts = std::vector<std::string>;

namespace {

// Tokens appear as #ID, stretches as they are.
parts split(const std::vector<text::added_token>& tokens, std::string_view text,
            special_spelling spelling = special_spelling::on) {
  text::added_tokens finder;
  for (const auto& token : tokens) finder.add(token);
  parts found;
  finder.split(text, spelling, [&](std::string_view stretch, const text::added_token* token) {
    if (!stretch.empty()) found.emplace_back(stretch);
    if (token) found.push_back('#' + std::to_string(token->id));
  });
  return found;
}

const std::vector<text::added_token> angles{
    {.text = "<a>", .id = 1, .special = true}, {.text = "<a><b>", .id = 2, .special = true}, {.text = "<", .id = 3}};

}  // namespace

TEST_CASE("without tokens a text is one stretch") {
  CHECK(split({}, "") == parts{});
  CHECK(split({}, "a b") == parts{"a b"});
  CHECK(text::added_tokens().empty());
}

TEST_CASE("the leftmost counts, and the longest of those") {
  CHECK(split(angles, "x<a>y") == parts{"x", "#1", "y"});
  CHECK(split(angles, "<a><b>") == parts{"#2"});
  CHECK(split(angles, "<a><a><b><") == parts{"#1", "#2", "#3"});
  CHECK(split(angles, "<a><b") == parts{"#1", "#3", "b"});
}

TEST_CASE("special tokens are found when asked for") {
  CHECK(split(angles, "x<a><b>", special_spelling::off) == parts{"x", "#3", "a>", "#3", "b>"});
}

TEST_CASE("white space is swallowed to the side that says so") {
  const std::vector<text::added_token> tokens{{.text = "<l>", .id = 1, .strip_left = true},
                                              {.text = "<r>", .id = 2, .strip_right = true},
                                              {.text = "  ", .id = 3}};
  CHECK(split(tokens, "a \n<l> b") == parts{"a", "#1", " b"});
  CHECK(split(tokens, "a <r> \u3000b") == parts{"a ", "#2", "b"});
  CHECK(split(tokens, " <l>") == parts{"#1"});
  CHECK(split(tokens, "<r> ") == parts{"#2"});
  CHECK(split(tokens, "<r> <l>x") == parts{"#2", "#1", "x"});
  CHECK(split(tokens, "<r>  x") == parts{"#2", "#3", "x"});  // as Hugging Face has it
}

TEST_CASE("of two tokens of the same text the last counts") {
  CHECK(split({{.text = "a", .id = 1}, {.text = "a", .id = 2}}, "aa") == parts{"#2", "#2"});
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/choices.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> read(std::string_view content, const char* name = "c.jsonl") {
  const temporary_folder folder;
  write_file(folder / name, content);
  return tasks::read_choices(folder / name);
}
std::string failure(std::string_view content) {
  return message_of<io_error>([&] { read(content); });
}

}  // namespace

TEST_CASE("choices are read as they are, from lines or an array") {
  const std::vector<tasks::choice_item> expected{
      {"The cat {sat}", {" on a mat.", " on  two.", " "}, 2},
      {"", {"a", "b"}, 0},
  };
  const std::string first =
                        R"({"prompt": "The cat {sat}", "choices": [" on a mat.", " on  two.", " "], "correct": 2})",
                    second = R"({"correct": 0, "choices": ["a", "b"], "prompt": "", "source": "mine"})";
  CHECK(read(first + "\n" + second + "\n") == expected);
  CHECK(read("[" + first + ", " + second + "]", "c.json") == expected);
  CHECK(read("[]", "c.json").empty());
}

TEST_CASE("records that make no sense are refused with line, member and value") {
  const std::string good = R"({"prompt": "p", "choices": ["a", "b"], "correct": 1})";
  check_mentions(failure(good + "\n" + R"({"prompt": "p", "choices": ["a", "b"], "correct": 2})"),
                 "c.jsonl:2: correct", "2 is the number of none of the 2");
  check_mentions(failure(R"({"prompt": "p", "choices": ["a", "b"], "correct": -1})"), "c.jsonl:1: correct", "-1");
  check_mentions(failure(R"({"prompt": "p", "choices": ["a"], "correct": 0})"), "c.jsonl:1: choices", "1 choices",
                 "at least two");
  check_mentions(failure(R"({"prompt": "p", "choices": "ab", "correct": 0})"), "choices", "an array", "ab");
  check_mentions(failure(R"({"prompt": "p", "choices": ["a", 3], "correct": 0})"), "choices[1]", "a string", "3");
  check_mentions(failure(good + "\n" + R"({"prompt": "p", "choices": ["a", ""], "correct": 0})"),
                 "c.jsonl:2: choices[1]", "the choice is empty");
  check_mentions(failure(R"({"choices": ["a", "b"], "correct": 0})"), "c.jsonl:1", "\"prompt\" is missing");
}

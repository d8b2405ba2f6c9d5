// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/piqa.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> read(std::string_view goals, std::string_view labels,
                                     const tasks::piqa_format& format = {}) {
  const temporary_folder folder;
  write_file(folder / "valid.jsonl", goals);
  if (!labels.empty()) write_file(folder / "valid-labels.lst", labels);
  return tasks::read_piqa(folder / "valid.jsonl", format);
}
std::string failure(std::string_view goals, std::string_view labels) {
  return message_of<io_error>([&] { read(goals, labels); });
}

const std::string goals = R"({"goal": "boil water", "sol1": "heat it", "sol2": "cool it "})"
                          "\n"
                          R"({"goal": "dresser", "sol1": "a", "sol2": "b"})";

}  // namespace

TEST_CASE("goals become the harness's prompts, their labels come from the file beside or the records") {
  const std::vector<tasks::choice_item> expected{{"Question: boil water\nAnswer:", {" heat it", " cool it "}, 1},
                                                 {"Question: dresser\nAnswer:", {" a", " b"}, 0}};
  CHECK(read(goals, "1\n0\n") == expected);
  CHECK(read(R"({"goal": "boil water", "sol1": "heat it", "sol2": "cool it ", "label": 1})"
             "\n"
             R"({"goal": "dresser", "sol1": "a", "sol2": "b", "label": "0"})",
             "") == expected);
  CHECK(read(goals, "1\n0\n", {.prompt = "To {goal},", .choice = " {solution}!"})[0].choices[0] == " heat it!");
}

TEST_CASE("goals and labels that do not belong together are refused with both files") {
  check_mentions(failure(goals, "1\n"), "valid-labels.lst", "no line for", "valid.jsonl:2");
  check_mentions(failure(goals, "1\n0\n1\n"), "valid-labels.lst", "3 labels", "2 goals", "valid.jsonl");
  check_mentions(failure(goals, "1\n2\n"), "valid-labels.lst:2", "\"2\"", "0, 1");
  check_mentions(failure(goals, ""), "valid-labels.lst");
  check_mentions(failure(R"({"goal": "g", "sol1": "a", "sol2": "", "label": 0})", ""), "valid.jsonl:1", "2 of 2");
  check_mentions(failure(R"({"goal": "g", "sol1": "a", "label": 0})", ""), "valid.jsonl:1", "\"sol2\" is missing");
}

TEST_CASE("the official file of PIQA is read whole") {
  const auto path = shared_data("data/piqa/valid.jsonl");
  if (!path) return;
  const auto items = tasks::read_piqa(*path);
  REQUIRE(items.size() == 1838);
  CHECK(items[1].prompt == "Question: dresser\nAnswer:");
  CHECK(items[1].choices[1] == " finish, woodgrain with  bobby pin ");
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/mmlu.hpp>

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

std::vector<tasks::choice_item> read(std::string_view content) {
  const temporary_folder folder;
  write_file(folder / "x_test.csv", content);
  return tasks::read_mmlu(folder / "x_test.csv");
}
std::string failure(std::string_view content) {
  return message_of<io_error>([&] { read(content); });
}

}  // namespace

TEST_CASE("files with letters or numbers, with a header or without, become the harness's prompts") {
  const std::vector<tasks::choice_item> expected{
      {"What, now?\nA. 1\nB. two\nC. 3, or 4\nD. \nAnswer:", {" A", " B", " C", " D"}, 2}};
  CHECK(read("\" What, now? \",1,two,\"3, or 4\",,C\n") == expected);
  CHECK(read("question,A,B,C,D,answer\n\"What, now?\",\"1\",\"two\",\"3, or 4\",\"\",2\n") == expected);
  CHECK(read("question,choice0,choice1,choice2,choice3,answer\n\"What, now?\",1,two,\"3, or 4\",,C\n") == expected);
  CHECK(tasks::mmlu_description("high_school_us_history") ==
        "The following are multiple choice questions (with answers) about high school us history.\n\n");
}

TEST_CASE("records that make no sense are refused by the line that they begin in") {
  check_mentions(failure("q,a,b,c,d,A\n\"two\nlines\",a,b,c,d,E\n"), "x_test.csv:2", "\"E\"", "A, B, C, D, 0");
  check_mentions(failure("q,a,b,c,A\n"), "x_test.csv:1", "5 fields", "four answers");
}

TEST_CASE("files of MMLU as they are found are read whole") {
  const auto path = shared_data("data/mmlu/test/astronomy_test.csv");
  const auto dev = shared_data("data/mmlu/dev/astronomy_dev.csv");
  if (!path || !dev) return;
  CHECK(tasks::read_mmlu(*path).size() == 152);
  CHECK(tasks::read_mmlu(*path)[0].correct == 0);
  CHECK(tasks::read_mmlu(*dev).size() == 5);
}

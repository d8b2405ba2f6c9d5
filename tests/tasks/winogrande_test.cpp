// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/winogrande.hpp>

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

std::vector<tasks::cloze_item> read(std::string_view content) {
  const temporary_folder folder;
  write_file(folder / "dev.jsonl", content);
  return tasks::read_winogrande(folder / "dev.jsonl");
}
std::string failure(std::string_view content) {
  return message_of<io_error>([&] { read(content); });
}

}  // namespace

TEST_CASE("an option in the blank ends a prompt, and what follows is scored") {
  CHECK(
      read(
          R"({"qID": "1", "sentence": "Ann met Bea, but _ left.", "option1": "Ann", "option2": "Bea", "answer": "2"})") ==
      std::vector<tasks::cloze_item>{{{"Ann met Bea, but Ann", "Ann met Bea, but Bea"}, " left.", 1}});
  CHECK(read(R"({"sentence": "So _'s hat_ fell .", "option1": "x", "option2": "y", "answer": 1})") ==
        std::vector<tasks::cloze_item>{{{"So x", "So y"}, " 's hat_ fell .", 0}});
}

TEST_CASE("sentences without a blank or an answer are refused by line and value") {
  check_mentions(failure(R"({"sentence": "None.", "option1": "a", "option2": "b", "answer": "1"})"),
                 "dev.jsonl:1: sentence", "None.", "no blank");
  check_mentions(failure(R"({"sentence": "It was _ ", "option1": "a", "option2": "b", "answer": "1"})"),
                 "dev.jsonl:1", "ends with its blank");
  check_mentions(failure(R"({"sentence": "A _ b", "option1": "a", "option2": "b", "answer": ""})"), "answer", "\"\"",
                 "1, 2");
  check_mentions(failure(R"({"sentence": "A _ b", "option1": "a", "answer": "1"})"), "\"option2\" is missing");
}

TEST_CASE("the validation file of WinoGrande is read whole") {
  const auto path = shared_data("data/winogrande/winogrande_xl_validation.jsonl");
  if (!path) return;
  const auto items = tasks::read_winogrande(*path);
  REQUIRE(items.size() == 1267);
  CHECK(items[0] == tasks::cloze_item{{"Sarah was a much better surgeon than Maria so Sarah",
                                       "Sarah was a much better surgeon than Maria so Maria"},
                                      " always got the easier cases.",
                                      1});
}

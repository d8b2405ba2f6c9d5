// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/rte.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<tasks::choice_item> read(std::string_view name, std::string_view content) {
  const temporary_folder folder;
  write_file(folder / name, content);
  return tasks::read_rte(folder / name);
}

}  // namespace

TEST_CASE("GLUE's table, SuperGLUE's records and Hugging Face's become the harness's prompts") {
  const std::vector<tasks::choice_item> expected{
      {"It rains.\nQuestion: It is wet. True or False?\nAnswer:", {" True", " False"}, 1}};
  CHECK(read("dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\tIt rains.\tIt is wet.\tnot_entailment\n") ==
        expected);
  CHECK(read("v.jsonl", R"({"premise": "It rains.", "hypothesis": "It is wet.", "label": "not_entailment"})") ==
        expected);
  CHECK(read("v.jsonl", R"({"sentence1": "It rains.", "sentence2": "It is wet.", "label": 1})") == expected);
  CHECK(read("v.jsonl", R"({"premise": "p", "hypothesis": "h", "label": "entailment"})")[0].correct == 0);
}

TEST_CASE("pairs without a label that is known are refused by line") {
  const auto failure = [](std::string_view name, std::string_view content) {
    return message_of<io_error>([&] { read(name, content); });
  };
  check_mentions(failure("v.jsonl", R"({"premise": "p", "hypothesis": "h", "label": "neutral"})"), "v.jsonl:1: label",
                 "\"neutral\"", "entailment, not_entailment");
  check_mentions(failure("dev.tsv", "sentence1\tsentence2\tlabel\na\tb\tentailment\na\tb\tx\n"), "dev.tsv:3",
                 "\"x\"");
  check_mentions(failure("dev.tsv", "index\tsentence1\tsentence2\n"), "dev.tsv:1", "\"label\"");
}

TEST_CASE("the validation file of RTE is read whole") {
  const auto path = shared_data("data/rte/val.jsonl");
  if (!path) return;
  const auto items = tasks::read_rte(*path);
  REQUIRE(items.size() == 277);
  CHECK(std::ranges::count(items, std::size_t{0}, &tasks::choice_item::correct) == 146);
}

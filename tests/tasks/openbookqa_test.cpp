// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/openbookqa.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/files.hpp>

#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a question of OpenBookQA is a sentence that its choices end") {
  const temporary_folder folder;
  write_file(folder / "t.jsonl", R"({"question": {"stem": "The sun is", "choices": [{"text": "warm", "label": "A"},)"
                                 R"( {"text": "cold", "label": "B"}]}, "answerKey": "A"})");
  CHECK(tasks::read_openbookqa(folder / "t.jsonl") ==
        std::vector<tasks::choice_item>{{"The sun is", {" warm", " cold"}, 0}});
}

TEST_CASE("instructions of OpenBookQA are read whole, and are the questions themselves") {
  const auto path = shared_data("data/openbookqa/llm-adapters-test.json");
  if (!path) return;
  const auto items = tasks::read_openbookqa(*path);
  REQUIRE(items.size() == 500);
  CHECK(items[1] == tasks::choice_item{"There is most likely going to be fog around:",
                                       {" a marsh", " a tundra", " the plains", " a desert"},
                                       0});
  for (const auto& item : items) CHECK(item.choices.size() == 4);
}

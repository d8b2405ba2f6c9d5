// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/arc.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <cstddef>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a question of ARC has the harness's prompt, or the user's") {
  const temporary_folder folder;
  write_file(folder / "t.jsonl", R"({"question": {"stem": "Why?", "choices": [{"text": "so", "label": "1"},)"
                                 R"( {"text": "no", "label": "2"}]}, "answerKey": "2"})");
  CHECK(tasks::read_arc(folder / "t.jsonl") ==
        std::vector<tasks::choice_item>{{"Question: Why?\nAnswer:", {" so", " no"}, 1}});
  CHECK(tasks::read_arc(folder / "t.jsonl", {.prompt = "{question}", .choice = "{choice}."}) ==
        std::vector<tasks::choice_item>{{"Why?", {"so.", "no."}, 1}});
}

TEST_CASE("the official files of ARC are read whole") {
  struct count {
    const char* name;
    std::size_t items;
  };
  for (const auto& [name, items] : {count{"Easy", 2376}, count{"Challenge", 1170}}) {
    const auto path = shared_data(std::string("data/arc/ARC-") + name + "-Test.jsonl");
    if (!path) return;
    const auto found = tasks::read_arc(*path);
    CHECK(found.size() == items);
    std::size_t choices = 0;
    for (const auto& item : found) choices += item.choices.size();
    CHECK(choices > 4 * items - 12);
    CHECK(choices < 4 * items + 12);
  }
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/alpaca.hpp>

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

std::vector<tasks::answer_item> read(std::string_view content, const tasks::alpaca_format& format = {}) {
  const temporary_folder folder;
  write_file(folder / "a.json", content);
  return tasks::read_alpaca(folder / "a.json", format);
}

}  // namespace

TEST_CASE("instructions get Stanford's prompts, with an input or without") {
  const auto items = read(R"([{"instruction": "Name a bird.", "input": "", "output": "A wren."},
                              {"instruction": "Add up.", "input": "1 and 2", "output": "3"},
                              {"instruction": "Sing.", "output": "La."}])");
  REQUIRE(items.size() == 3);
  CHECK(items[0].prompt ==
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        "\n\n### Instruction:\nName a bird.\n\n### Response:");
  CHECK(items[1].prompt ==
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
        "response that appropriately completes the request.\n\n### Instruction:\nAdd up.\n\n### Input:\n1 and 2\n\n"
        "### Response:");
  CHECK(items[2].prompt.ends_with("Sing.\n\n### Response:"));
  CHECK(items[1].completion == "3");
  CHECK(items[1].answers == std::vector<std::string>{"3"});
  CHECK(items[2].id == "2");
}

TEST_CASE("templates are the user's; each has its own fields") {
  const auto items = read(R"([{"instruction": "Sing.", "output": "La."}])",
                          {.prompt = "Q: {instruction}\nA:", .completion = " {output}\n"});
  CHECK(items[0].prompt == "Q: Sing.\nA:");
  CHECK(items[0].completion == " La.\n");
  check_mentions(message_of<value_error>([] { read("[]", {.prompt = "{input}"}); }), "{input}", "{instruction}");
}

TEST_CASE("what is no such file is refused with the way to the value") {
  const auto failure = [](const char* content) { return message_of<io_error>([&] { read(content); }); };
  check_mentions(failure(R"([{"instruction": "x"}])"), "a.json: [0]", "\"output\" is missing");
  check_mentions(failure(R"([{"instruction": "x", "input": 1, "output": "y"}])"), "[0].input", "a string", "1");
}

TEST_CASE("a real file is read whole") {
  const auto path = shared_data("data/alpaca/alpaca_en_demo.json");
  if (!path) return;
  const auto items = tasks::read_alpaca(*path);
  CHECK(items.size() == 999);
  const auto has_input = [](const auto& item) { return item.prompt.find("### Input:") != std::string::npos; };
  CHECK(std::ranges::any_of(items, has_input));
  CHECK(!std::ranges::all_of(items, has_input));
}

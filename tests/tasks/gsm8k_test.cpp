// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/gsm8k.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a problem of GSM8K has the harness's prompt, its whole solution and its number") {
  const temporary_folder folder;
  write_file(folder / "t.jsonl", R"({"question": "1 + 1?", "answer": "It is <<1+1=2>>2.\n#### 2"})");
  CHECK(tasks::read_gsm8k(folder / "t.jsonl") ==
        std::vector<tasks::answer_item>{{"Question: 1 + 1?\nAnswer:", " It is <<1+1=2>>2.\n#### 2", {"2"}, "0"}});
  write_file(folder / "bad.jsonl", R"({"question": "q", "answer": "It is 2."})");
  check_mentions(message_of<io_error>([&] { static_cast<void>(tasks::read_gsm8k(folder / "bad.jsonl")); }),
                 "bad.jsonl:1: answer", "It is 2.", "####");
}

TEST_CASE("the test file of GSM8K is read whole") {
  const auto path = shared_data("data/gsm8k/test.jsonl");
  if (!path) return;
  const auto items = tasks::read_gsm8k(*path);
  REQUIRE(items.size() == 1319);
  CHECK(items[0].answers == std::vector<std::string>{"18"});
  for (const auto& item : items) CHECK(item.answers[0].find_first_not_of("-0123456789,.") == std::string::npos);
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/boolq.hpp>

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
  write_file(folder / "dev.jsonl", content);
  return tasks::read_boolq(folder / "dev.jsonl");
}

}  // namespace

TEST_CASE("official files, SuperGLUE's and Hugging Face's become the harness's prompts") {
  const std::vector<tasks::choice_item> yes{{"Sky text.\nQuestion: is the sky blue?\nAnswer:", {" no", " yes"}, 1}};
  for (const std::string label : {"\"answer\": true", "\"label\": true", "\"label\": 1", "\"label\": \"true\""})
    CHECK(read(R"({"question": "is the sky blue", "passage": "Sky text.", )" + label + "}") == yes);
  CHECK(read(R"({"question": "q", "passage": "p", "answer": false})")[0].correct == 0);
}

TEST_CASE("an instruction has no passage, and its question mark is not doubled") {
  CHECK(read(R"({"instruction": "Please answer the following question with true or false, question: is it so?\n\n)"
             R"(Answer format: true/false", "answer": "false"})") ==
        std::vector<tasks::choice_item>{{"Question: is it so?\nAnswer:", {" no", " yes"}, 0}});
}

TEST_CASE("records without an answer or a passage are refused by line") {
  const auto failure = [](std::string_view content) { return message_of<io_error>([&] { read(content); }); };
  check_mentions(failure(R"({"question": "q", "passage": "p"})"), "dev.jsonl:1", "\"label\" is missing");
  check_mentions(failure(R"({"question": "q", "answer": true})"), "dev.jsonl:1", "\"passage\" is missing");
  check_mentions(failure(R"({"question": "q", "passage": "p", "label": 2})"), "label", "\"2\"", "false, true");
}

TEST_CASE("instructions of BoolQ are read whole") {
  const auto path = shared_data("data/boolq/llm-adapters-test.json");
  if (!path) return;
  const auto items = tasks::read_boolq(*path);
  REQUIRE(items.size() == 3270);
  CHECK(items[1] ==
        tasks::choice_item{"Question: is house tax and property tax are same?\nAnswer:", {" no", " yes"}, 1});
}

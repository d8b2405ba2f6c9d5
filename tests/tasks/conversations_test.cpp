// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/conversations.hpp>

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

std::vector<tasks::answer_item> read(std::string_view content, text::chat_format format = text::chat_format::chatml) {
  const temporary_folder folder;
  write_file(folder / "c.jsonl", content);
  return tasks::read_conversations(folder / "c.jsonl", {format});
}
std::string failure(std::string_view content) {
  return message_of<io_error>([&] { read(content); });
}

}  // namespace

TEST_CASE("each turn of the assistant is an item whose prompt is all before it") {
  const auto items =
      read(R"({"system": "Be kind.", "conversations": [{"from": "human", "value": "Hi"},)"
           R"( {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "Bye"},)"
           R"( {"from": "gpt", "value": "So long"}]})"
           "\n"
           R"({"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]})");
  const std::string before =
      "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
  REQUIRE(items.size() == 3);
  CHECK(items[0] == tasks::answer_item{before, "Hello<|im_end|>\n", {"Hello"}, "0.0"});
  CHECK(items[1] ==
        tasks::answer_item{before + "Hello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
                           "So long<|im_end|>\n",
                           {"So long"},
                           "0.1"});
  CHECK(items[2].id == "1.0");
  CHECK(items[2].prompt == "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\n");
}

TEST_CASE("every format writes a turn after its prompt, and instructions are conversations of two turns") {
  for (const auto format : {text::chat_format::chatml, text::chat_format::llama3, text::chat_format::alpaca}) {
    const auto items = read(R"({"instruction": "Add.", "input": "1 1", "output": "2"})", format);
    REQUIRE(items.size() == 1);
    CHECK(items[0].prompt.find("Add.\n\n1 1") != std::string::npos);
    CHECK(items[0].completion.starts_with("2"));
    CHECK(items[0].prompt + items[0].completion ==
          text::format_chat({format}, std::vector<text::chat_message>{{"user", "Add.\n\n1 1"}, {"assistant", "2"}},
                            false));
  }
}

TEST_CASE("records without anything to learn are refused by line") {
  check_mentions(failure(R"({"text": "plain"})"), "c.jsonl:1", "\"messages\"", "\"instruction\"");
  check_mentions(failure(R"({"messages": [{"role": "user", "content": "A"}]})"), "c.jsonl:1",
                 "assistant says nothing");
  check_mentions(failure(R"({"messages": [{"role": "user", "content": "A"}, {"role": "tool", "content": "B"},)"
                         R"( {"role": "assistant", "content": "C"}]})"),
                 "c.jsonl:1", "'tool'");
  check_mentions(failure(R"({"messages": [{"role": "user"}]})"), "messages[0]", "\"content\" is missing");
}

TEST_CASE("instructions as they are found become items") {
  const auto path = shared_data("data/chat/identity.json");
  if (!path) return;
  const auto items = tasks::read_conversations(*path, {});
  CHECK(items.size() == 91);
  CHECK(
      std::ranges::all_of(items, [](const auto& item) { return item.prompt.ends_with("<|im_start|>assistant\n"); }));
}

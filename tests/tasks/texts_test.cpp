// SPDX-License-Identifier: Apache-2.0
#include <zoqat/tasks/texts.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using list = std::vector<std::string>;

namespace {

const tasks::text_records chatml{"text", text::chat_template{text::chat_format::chatml}};

struct data_file {
  temporary_folder folder;

  list read(std::string_view name, std::string_view content, const tasks::text_records& how = {}) const {
    write_file(folder / name, content);
    return tasks::read_texts(folder / name, how);
  }
  std::string failure(std::string_view content, const tasks::text_records& how = {}) const {
    return message_of<io_error>([&] { (void)read("x.jsonl", content, how); });
  }
};

}  // namespace

TEST_CASE("records with a field of text, in lines or in an array") {
  const data_file file;
  CHECK(file.read("a.jsonl", "{\"text\": \"one\"}\n\n{\"text\": \"two\", \"meta\": 1}\n") == list{"one", "two"});
  CHECK(file.read("a.json", R"([{"story": "one"}])", {.field = "story"}) == list{"one"});
  check_mentions(file.failure(R"({"story": "one"})"), "x.jsonl:1", "\"text\"", "\"messages\"");
  check_mentions(file.failure(R"({"text": 7})"), "x.jsonl:1", "text", "7");
}

TEST_CASE("conversations of both kinds and instructions are written in the model's format") {
  const data_file file;
  const list expected{"<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"};
  for (const auto* record :
       {R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})",
        R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})",
        R"({"instruction": "a", "input": "", "output": "b"})"})
    CHECK(file.read("a.jsonl", record, chatml) == expected);
  CHECK(file.read("a.jsonl", R"({"instruction": "a", "input": "c", "output": "b"})", chatml)[0].starts_with(
      "<|im_start|>user\na\n\nc<|im_end|>"));
  CHECK(file.read("a.jsonl", R"({"system": "s", "conversations": [{"from": "human", "value": "a"}]})", chatml)[0]
            .starts_with("<|im_start|>system\ns<|im_end|>\n"));
  check_mentions(file.failure(R"({"instruction": "a", "output": "b"})"), "x.jsonl:1", "no chat template");
  check_mentions(file.failure(R"({"conversations": [{"from": "observation", "value": "a"}]})", chatml), "x.jsonl:1",
                 "'observation'");
  check_mentions(file.failure(R"({"conversations": [{"from": "human"}]})", chatml), "conversations[0]", "value");
}

TEST_CASE("real data sets") {
  if (const auto c4 = shared_data("data/c4/c4_demo.jsonl")) CHECK(tasks::read_texts(*c4).size() == 300);
  if (const auto alpaca = shared_data("data/alpaca/alpaca_en_demo.json"))
    CHECK(tasks::read_texts(*alpaca, chatml).size() == 999);
  if (const auto identity = shared_data("data/chat/identity.json"))
    CHECK(tasks::read_texts(*identity, chatml).size() == 91);
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/chat_template.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using text::chat_format;

namespace {

const std::vector<text::chat_message> talk{{"user", " Hi "}, {"assistant", "Hello."}, {"user", "Bye"}};

std::string failure(std::string_view jinja) {
  return message_of<io_error>([&] { (void)text::recognize_chat_template(jinja, "the/file"); });
}

}  // namespace

TEST_CASE("conversations are written as the format says, and go on to the assistant's turn") {
  CHECK(text::format_chat({chat_format::chatml}, talk, true) ==
        "<|im_start|>user\n Hi <|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n");
  CHECK(text::format_chat({chat_format::llama3}, talk, false) ==
        "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        "Hello.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>");
  CHECK(text::format_chat({chat_format::alpaca}, talk, true) ==
        "### Instruction:\n Hi \n\n### Response:\nHello.\n\n### Instruction:\nBye\n\n### Response:\n");
}

TEST_CASE("what the system says stands in front, that of the template where the conversation has none") {
  const text::chat_template polite{chat_format::chatml, "Be kind."};
  CHECK(text::format_chat(polite, std::vector<text::chat_message>{{"user", "a"}}, false) ==
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\na<|im_end|>\n");
  CHECK(text::format_chat(polite, std::vector<text::chat_message>{{"system", "s"}, {"user", "a"}}, false) ==
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n");
  check_mentions(message_of<value_error>([&] {
                   (void)text::format_chat(polite, std::vector<text::chat_message>{{"tool", "a"}}, false);
                 }),
                 "'tool'");
  check_mentions(
      message_of<value_error>([&] {
        (void)text::format_chat(polite, std::vector<text::chat_message>{{"user", "a"}, {"system", "b"}}, false);
      }),
      "'system'");
  CHECK_THROWS_AS((void)text::format_chat(polite, {}, true), value_error);
}

TEST_CASE("templates are known by their marks") {
  const auto smol = text::recognize_chat_template(
      R"({% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %})",
      "f");
  CHECK(smol.format == chat_format::chatml);
  CHECK(smol.default_system == "You are a helpful AI assistant");
  const auto plain = text::recognize_chat_template(
      R"({% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %})",
      "f");
  CHECK(plain.default_system.empty());
  CHECK(text::recognize_chat_template("{{ '<|start_header_id|>' + message['role'] }}", "f").format ==
        chat_format::llama3);
  CHECK(text::recognize_chat_template("{{ '### Instruction:\\n' }}", "f").format == chat_format::alpaca);
  check_mentions(failure("{{ '[INST] ' }}"), "the/file", "no known format");
  check_mentions(failure("<|start_header_id|> Cutting Knowledge Date"), "the/file", "date");
}

TEST_CASE("a folder's template is read from where it is") {
  const temporary_folder folder;
  CHECK_FALSE(text::read_chat_template(folder.path()).has_value());
  write_file(folder / "tokenizer_config.json", R"({"chat_template": null})");
  CHECK_FALSE(text::read_chat_template(folder.path()).has_value());
  write_file(folder / "tokenizer_config.json", R"({"chat_template": "<|im_start|>"})");
  CHECK(text::read_chat_template(folder.path()).value().format == chat_format::chatml);
  write_file(
      folder / "tokenizer_config.json",
      R"({"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "### Instruction:"}]})");
  CHECK(text::read_chat_template(folder.path()).value().format == chat_format::alpaca);
  write_file(folder / "tokenizer_config.json", R"({"chat_template": [{"name": "other", "template": "x"}]})");
  check_mentions(message_of<io_error>([&] { (void)text::read_chat_template(folder.path()); }),
                 "tokenizer_config.json", "\"default\"");
  write_file(folder / "chat_template.jinja", "<|start_header_id|>");
  CHECK(text::read_chat_template(folder.path()).value().format == chat_format::llama3);
}

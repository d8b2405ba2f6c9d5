// SPDX-License-Identifier: Apache-2.0
#include <common/run_inputs.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

#include <array>
#include <string>

using namespace zoqat;
using namespace zoqat::programs;
using namespace zoqat::testing;

TEST_CASE("a run is tied to its model, tokenizer and texts, and says which one differs") {
  const temporary_folder folder;
  write_file(folder / "config.json", "{}");
  write_file(folder / "model.safetensors", "weights");
  write_file(folder / "tokenizer.bin", "tokens");
  write_file(folder / "chat_template.jinja", "<|im_start|>");
  write_file(folder / "notes.txt", "nothing of the model");
  write_file(folder / "text.txt", "once");
  const std::array<named_file, 2> texts{{{"--text", folder / "text.txt"}, {"--eval", ""}}};
  const auto here = [&] { return inputs_of_run(folder.path(), folder.path(), texts); };
  auto log = zo::run_log::create(folder / "log", {.inputs = here()});
  CHECK_NOTHROW(require_same_inputs(log, here()));
  write_file(folder / "notes.txt", "still nothing");
  CHECK_NOTHROW(require_same_inputs(log, here()));

  const auto differs = [&](const char* name, const std::string& content) {
    const std::string before = read_file(folder / name);
    write_file(folder / name, content);
    const std::string message = message_of<value_error>([&] { require_same_inputs(log, here()); });
    write_file(folder / name, before);
    return message;
  };
  check_mentions(differs("config.json", "[]"), "log: the model is not the one");
  check_mentions(differs("model.safetensors", "wEights"), "the model is not the one");
  check_mentions(differs("tokenizer.bin", "tokenz"), "the tokenizer is not the one");
  check_mentions(differs("chat_template.jinja", "<|user|>"), "the tokenizer is not the one");
  check_mentions(differs("text.txt", "twice"), "the file of --text is not the one");
  CHECK_NOTHROW(require_same_inputs(log, here()));

  run_inputs other = here();
  other["version of zoqat"] = "0.0.1";
  check_mentions(message_of<value_error>([&] { require_same_inputs(log, other); }), "version of zoqat", "0.0.1");
  other = here();
  other["instruction set"] = "another";  // is only said
  CHECK_NOTHROW(require_same_inputs(log, other));
}

TEST_CASE("a model in one file is that file and the configuration beside it") {
  const temporary_folder folder;
  write_file(folder / "a.safetensors", "a");
  write_file(folder / "b.safetensors", "b");
  const auto of = [&](const char* name) {
    return inputs_of_run(folder / name, folder / "a.safetensors", {})["model"];
  };
  const std::string a = of("a.safetensors");
  CHECK(a != of("b.safetensors"));
  write_file(folder / "b.safetensors", "other");
  CHECK(a == of("a.safetensors"));
  write_file(folder / "config.json", "{}");
  CHECK(a != of("a.safetensors"));
}

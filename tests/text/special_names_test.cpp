// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/special_names.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("names come from the two files, the first of which counts") {
  const temporary_folder folder;
  CHECK_FALSE(text::read_special_names(folder.path()).bos.has_value());
  write_file(folder / "special_tokens_map.json",
             R"({"bos_token": "<1>", "eos_token": {"content": "<2>", "lstrip": false}})");
  CHECK(text::read_special_names(folder.path()).bos == "<1>");
  CHECK(text::read_special_names(folder.path()).eos == "<2>");
  write_file(folder / "tokenizer_config.json", R"({"bos_token": {"content": "<3>"}, "eos_token": null, "other": 1})");
  CHECK(text::read_special_names(folder.path()).bos == "<3>");
  CHECK(text::read_special_names(folder.path()).eos == "<2>");
}

TEST_CASE("whether texts get them is read from the same files") {
  const temporary_folder folder;
  CHECK_FALSE(text::read_special_names(folder.path()).add_bos.has_value());
  write_file(folder / "tokenizer_config.json", R"({"add_bos_token": false, "add_eos_token": true})");
  CHECK(text::read_special_names(folder.path()).add_bos == false);
  CHECK(text::read_special_names(folder.path()).add_eos == true);
  CHECK_FALSE(text::read_special_names(folder.path()).prefix_space.has_value());
  write_file(folder / "tokenizer_config.json", R"({"add_prefix_space": true})");
  CHECK(text::read_special_names(folder.path()).prefix_space == true);
}

TEST_CASE("malformed files are named") {
  const temporary_folder folder;
  const auto failure = [&](std::string_view content) {
    write_file(folder / "tokenizer_config.json", content);
    return message_of<io_error>([&] { static_cast<void>(text::read_special_names(folder.path())); });
  };
  check_mentions(failure("{"), "tokenizer_config.json", "not valid JSON");
  check_mentions(failure("[]"), "tokenizer_config.json", "object");
  check_mentions(failure(R"({"bos_token": 7})"), "tokenizer_config.json", "bos_token", "7");
  check_mentions(failure(R"({"eos_token": {"text": "a"}})"), "tokenizer_config.json", "content");
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/open_tokenizer.hpp>

#include <doctest/doctest.h>
#include <support/byte_level_files.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_vocabulary.hpp>
#include <support/tokenizer_json_files.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using tokens = std::vector<std::uint32_t>;

namespace {

std::string failure(const std::filesystem::path& path) {
  return message_of<io_error>([&] { static_cast<void>(text::open_tokenizer(path)); });
}

}  // namespace

TEST_CASE("a folder is opened by what is in it, and so is each file") {
  const temporary_folder folder;
  const byte_level_files files(small_merges(), {"<|endoftext|>"});
  check_mentions(failure(folder.path()), folder.path().native(), "tokenizer.json", "vocab.json", "tokenizer.bin");
  write_file(folder / "tokenizer.model", "a sentencepiece model");
  for (const auto& path : {folder.path(), folder / "tokenizer.model"})
    check_mentions(failure(path), (folder / "tokenizer.model").native(), "ext/sentencepiece.hpp", "tokenizer.json");

  write_file(folder / "tokenizer.bin", tiny_vocabulary({{" ", 0}, {"a", 0}}));
  const auto llama2c = text::open_tokenizer(folder.path());
  CHECK(std::holds_alternative<text::llama2c_tokenizer>(llama2c.format()));
  CHECK(llama2c.size() == 261);
  CHECK(llama2c.bos() == 1u);
  CHECK(llama2c.eos() == 2u);
  CHECK(llama2c.encode("a", true) == tokens{1, 259, 260});
  CHECK(llama2c.decode(tokens{1, 259, 260}) == "a");

  write_file(folder / "vocab.json", files.vocab_json());
  check_mentions(failure(folder.path()), "merges.txt");
  write_file(folder / "merges.txt", files.merges_txt());
  const auto plain = text::open_tokenizer(folder.path());
  CHECK(plain.size() == files.vocabulary.size());
  CHECK(plain.bos() == files.vocabulary.size() - 1);
  CHECK(text::open_tokenizer(folder / "vocab.json").encode("aba", true) == plain.encode("aba", true));

  write_file(folder / "tokenizer.json", byte_level_json(byte_level_files(small_merges())).dump());
  const auto hugging_face = text::open_tokenizer(folder.path());
  CHECK_FALSE(hugging_face.bos().has_value());
  CHECK(hugging_face.size() == plain.size());
  CHECK(hugging_face.decode(hugging_face.encode("aba é", true)) == "aba é");
  CHECK(text::open_tokenizer(folder / "tokenizer.json").size() == plain.size());
  CHECK(text::open_tokenizer(folder / "tokenizer.bin").size() == 261);
}

TEST_CASE("the folder's configuration names BOS and EOS") {
  const temporary_folder folder;
  const byte_level_files files(small_merges(), {"<s>", "</s>"});
  write_file(folder / "vocab.json", files.vocab_json());
  write_file(folder / "merges.txt", files.merges_txt());
  CHECK(text::open_tokenizer(folder.path()).bos() == files.vocabulary.size() - 1);  // </s>
  write_file(folder / "tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}})");
  const auto tokenizer = text::open_tokenizer(folder.path());
  CHECK(tokenizer.bos() == files.vocabulary.size() - 2);
  CHECK(tokenizer.eos() == files.vocabulary.size() - 1);

  write_file(folder / "tokenizer.json", byte_level_json(byte_level_files(small_merges())).dump());
  check_mentions(failure(folder.path()), "tokenizer.json", "'<s>'");
  write_file(folder / "tokenizer_config.json", R"({"bos_token": "<|endoftext|>"})");
  CHECK(text::open_tokenizer(folder.path()).bos() == 273u);
}

TEST_CASE("other paths are refused") {
  const temporary_folder folder;
  write_file(folder / "tokenizer.txt", "x");
  check_mentions(failure(folder / "tokenizer.txt"), "tokenizer.txt", "not a tokenizer");
  check_mentions(failure(folder / "absent.json"), "absent.json", "No such file");
}

TEST_CASE("the tokenizers at hand") {
  if (const auto path = shared_data("models/opt-layout-3m")) {
    const auto tokenizer = text::open_tokenizer(*path);
    CHECK(tokenizer.size() == 14'019);
    CHECK(tokenizer.bos() == 14'018u);
  }
  CHECK(text::open_tokenizer(project_file("examples/models/tiny-llama")).size() == 1024);
}

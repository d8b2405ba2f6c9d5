// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/gguf_tokenizer.hpp>

#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/text/gguf_vocabulary.hpp>
#include <zoqat/text/open_tokenizer.hpp>

#include <doctest/doctest.h>
#include <support/byte_level_files.hpp>
#include <support/data.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/gguf_metadata.hpp>
#include <support/tiny_vocabulary.hpp>
#include <support/tokenizer_json_files.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;

namespace {

const std::vector<std::string> texts{"", "ab a  aba", " ab\n\nab's 123 aé 😑!!!",
                                     "<s> <unk> <|endoftext|> <0x0A> [PAD270]",
                                     "Once upon a time, Lily said: \"Don't go!\" 3,14\tkm – naïve"};

// The tokenizer at `path` is the same when it comes from a file of a model with some more rows.
void check_same(const std::filesystem::path& path, const std::filesystem::path& file) {
  const auto own = text::open_tokenizer(path);
  write_metadata(file, text::read_vocabulary_metadata(path, own.size() + 9));
  const auto found = text::open_tokenizer(file);
  CHECK(found.size() == own.size() + 9);
  CHECK(found.bos() == own.bos());
  CHECK(found.eos() == own.eos());
  CHECK(std::ranges::equal(found.suffix(), own.suffix()));
  for (const std::string& text : texts) {
    CAPTURE(text);
    const auto tokens = own.encode(text, true);
    CHECK(found.encode(text, true) == tokens);
    CHECK(found.decode(tokens) == own.decode(tokens));
  }
  CHECK(text::vocabulary_metadata(gguf::file(file), own.size() + 9) == gguf::file(file).metadata());
}

}  // namespace

TEST_CASE("a tokenizer that was written into a file encodes as it did") {
  const temporary_folder folder;
  check_same(project_file("examples/models/tiny-llama/tokenizer.bin"), folder / "scores.gguf");
  write_file(folder / "tokenizer.json", byte_level_json(byte_level_files(small_merges())).dump());
  check_same(folder / "tokenizer.json", folder / "merges.gguf");
  write_file(folder / "tokenizer_config.json", R"({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})");
  check_same(folder / "tokenizer.json", folder / "merges.gguf");
  for (const text::gguf_words& words : text::known_gguf_words) {
    io::json object = byte_level_json(byte_level_files(small_merges()));
    object["pre_tokenizer"] = words.steps();
    object["model"]["ignore_merges"] = words.whole_words;
    write_file(folder / "tokenizer.json", object.dump());
    check_same(folder / "tokenizer.json", folder / "merges.gguf");
  }
  // Tokens around a text are the ones that are asked for, and those that are not keep their identity.
  write_file(folder / "tokenizer_config.json",
             R"({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "add_bos_token": false,
                 "add_eos_token": true})");
  check_same(folder / "tokenizer.json", folder / "merges.gguf");
}

TEST_CASE("vocabularies that are not supported are refused by key and value") {
  const temporary_folder folder;
  write_file(folder / "tokenizer.bin", tiny_vocabulary({{" ", -1}, {"a", -2}}));
  write_file(folder / "tokenizer.json", byte_level_json(byte_level_files(small_merges())).dump());
  const auto by_score = text::read_vocabulary_metadata(folder / "tokenizer.bin", 261);
  const auto merging = text::read_vocabulary_metadata(folder / "tokenizer.json", 300);
  const auto failure = [&](gguf::metadata entries, std::string_view key, const auto& value) {
    set_metadata(entries, key, value);
    write_metadata(folder / "t.gguf", entries);
    return message_of<io_error>([&] { static_cast<void>(text::open_tokenizer(folder / "t.gguf")); });
  };
  check_mentions(failure(by_score, "tokenizer.ggml.model", "t5"), "t.gguf", "tokenizer.ggml.model", "'t5'");
  check_mentions(failure(by_score, "tokenizer.ggml.bos_token_id", std::uint32_t{7}), "bos_token_id: 7");
  check_mentions(failure(by_score, "tokenizer.ggml.add_bos_token", false), "add_bos_token: false");
  check_mentions(failure(by_score, "tokenizer.ggml.add_eos_token", true), "add_eos_token: true");
  check_mentions(failure(merging, "tokenizer.ggml.add_bos_token", true), "t.gguf", "does not name");
  check_mentions(failure(by_score, "tokenizer.ggml.add_space_prefix", false), "add_space_prefix: false");
  check_mentions(failure(by_score, "tokenizer.ggml.scores", std::vector<float>{1}), "1 scores of 261");
  check_mentions(failure(by_score, "tokenizer.ggml.token_type", std::vector<std::int32_t>(261, 4)), "user-defined");
  check_mentions(failure(by_score, "tokenizer.ggml.tokens", std::vector<std::string>(261, "x")), "'x'", "<0x00>");
  check_mentions(failure(merging, "tokenizer.ggml.pre", "jais"), "tokenizer.ggml.pre: 'jais'", "gpt-2, smollm");
  check_mentions(failure(merging, "tokenizer.ggml.merges", std::vector<std::string>{"q zz"}), "zz");
  check_mentions(failure(merging, "tokenizer.ggml.token_type", std::vector<std::int32_t>{1}), "1 types of 300");
  check_mentions(failure(merging, "tokenizer.ggml.tokens", std::vector<std::string>(300, "x")),
                 "'x' is token 0 already");
  check_mentions(failure(merging, "tokenizer.ggml.eos_token_id", std::uint32_t{300}), "300 is no token of 300");
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/gguf_vocabulary.hpp>

#include <doctest/doctest.h>
#include <support/byte_level_files.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_vocabulary.hpp>
#include <support/tokenizer_json_files.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;

namespace {

const gguf::value& at(const gguf::metadata& entries, std::string_view key) {
  const gguf::value* const found = gguf::find(entries, std::string("tokenizer.ggml.") + std::string(key));
  REQUIRE(found != nullptr);
  return *found;
}
std::vector<std::string> texts(const gguf::metadata& entries, std::string_view key) {
  return *at(entries, key).array_if<std::string>();
}
std::vector<std::int32_t> types(const gguf::metadata& entries) {
  return *at(entries, "token_type").array_if<std::int32_t>();
}

}  // namespace

TEST_CASE("a tokenizer of llama2.c keeps its pieces and scores, in the spelling of sentencepiece") {
  const temporary_folder folder;
  write_file(folder / "tokenizer.bin", tiny_vocabulary({{" ", -1}, {"a", -2}, {" a b", -3.5f}}));
  const gguf::metadata entries = text::read_vocabulary_metadata(folder / "tokenizer.bin", 264);
  CHECK(at(entries, "model").text_if() == "llama");
  CHECK(at(entries, "pre").text_if() == "default");
  const auto tokens = texts(entries, "tokens");
  REQUIRE(tokens.size() == 264);
  CHECK(tokens[0] == "<unk>");
  CHECK(tokens[1] == "<s>");
  CHECK(tokens[2] == "</s>");
  CHECK(tokens[3 + 10] == "<0x0A>");
  CHECK(tokens[259] == "\u2581");
  CHECK(tokens[261] == "\u2581a\u2581b");
  CHECK(tokens[263] == "[PAD263]");
  const auto scores = *at(entries, "scores").array_if<float>();
  REQUIRE(scores.size() == 264);
  CHECK(scores[261] == -3.5f);
  const auto kinds = types(entries);
  CHECK(std::vector<std::int32_t>(kinds.begin(), kinds.begin() + 4) == std::vector<std::int32_t>{2, 3, 3, 6});
  CHECK(std::vector<std::int32_t>(kinds.begin() + 258, kinds.end()) == std::vector<std::int32_t>{6, 1, 1, 1, 5, 5});
  CHECK(at(entries, "bos_token_id").get_if<std::uint32_t>() == 1u);
  CHECK(at(entries, "eos_token_id").get_if<std::uint32_t>() == 2u);
  CHECK(at(entries, "add_bos_token").get_if<bool>() == true);
  CHECK(at(entries, "add_space_prefix").get_if<bool>() == true);
  check_mentions(
      message_of<io_error>([&] { static_cast<void>(text::read_vocabulary_metadata(folder / "tokenizer.bin", 261)); }),
      "tokenizer.bin", "262 tokens, but the model has 261");
}

TEST_CASE("a byte-level tokenizer keeps its merges, and its words have a name") {
  const temporary_folder folder;
  const byte_level_files files(small_merges());
  const auto size = static_cast<std::uint32_t>(files.vocabulary.size());
  io::json object = byte_level_json(files);
  object["added_tokens"].push_back(added_token_json(size + 1, "  ", false));
  const auto metadata = [&](const io::json& json) {
    write_file(folder / "tokenizer.json", json.dump());
    return text::read_vocabulary_metadata(folder / "tokenizer.json", size + 4);
  };
  const gguf::metadata entries = metadata(object);
  CHECK(at(entries, "model").text_if() == "gpt2");
  CHECK(at(entries, "pre").text_if() == "gpt-2");
  const auto tokens = texts(entries, "tokens");
  REQUIRE(tokens.size() == size + 4);
  for (const auto& [text, id] : files.vocabulary.items()) CHECK(tokens[id.get<std::size_t>()] == text);
  CHECK(tokens[size] == "<|endoftext|>");
  CHECK(tokens[size + 1] == "  ");
  const auto kinds = types(entries);
  CHECK(kinds[0] == 1);
  CHECK(std::vector<std::int32_t>(kinds.begin() + size, kinds.end()) == std::vector<std::int32_t>{3, 4, 5, 5});
  std::vector<std::string> merges;
  for (const auto& [left, right] : small_merges()) merges.push_back(left + " " + right);
  CHECK(texts(entries, "merges") == merges);
  CHECK(gguf::find(entries, "tokenizer.ggml.bos_token_id") == nullptr);
  CHECK(at(entries, "add_bos_token").get_if<bool>() == false);

  write_file(folder / "tokenizer_config.json", R"({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})");
  const gguf::metadata with_bos = metadata(object);
  CHECK(at(with_bos, "bos_token_id").get_if<std::uint32_t>() == size);
  CHECK(at(with_bos, "eos_token_id").get_if<std::uint32_t>() == size);
  CHECK(at(with_bos, "add_bos_token").get_if<bool>() == true);

  // The names of other words, and none.
  const io::json spelled = io::json::parse(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})");
  const auto after = [&](io::json first, const io::json& last) {
    io::json other = object;
    other["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", io::json::array({std::move(first), last})}};
    return other;
  };
  const auto split = [](std::string_view pattern) {
    return io::json{
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  };
  CHECK(at(metadata(after({{"type", "Digits"}, {"individual_digits", true}}, object["pre_tokenizer"])), "pre")
            .text_if() == "smollm");
  CHECK(at(metadata(after(split(text::known_gguf_words[3].pattern), spelled)), "pre").text_if() == "qwen2");
  io::json llama3 = after(split(text::known_gguf_words[2].pattern), spelled);
  llama3["model"]["ignore_merges"] = true;
  CHECK(at(metadata(llama3), "pre").text_if() == "llama-bpe");

  const auto refusal = [&](const io::json& json) {
    return message_of<io_error>([&] { static_cast<void>(metadata(json)); });
  };
  llama3["model"]["ignore_merges"] = false;
  check_mentions(refusal(llama3), "tokenizer.json", "no name for the pre-tokenizer", "gpt-2, smollm");
  check_mentions(refusal(after(split("a+"), spelled)), "no name for the pre-tokenizer");
  check_mentions(refusal(after({{"type", "Digits"}, {"individual_digits", false}}, object["pre_tokenizer"])),
                 "no name for the pre-tokenizer");
  io::json normalized = object;
  normalized["normalizer"] = {{"type", "NFC"}};
  check_mentions(refusal(normalized), "the normalizer", "NFC", "no counterpart");
  io::json stripping = object;
  stripping["added_tokens"][0]["rstrip"] = true;
  check_mentions(refusal(stripping), "tokenizer.json", "<|endoftext|>", "rstrip", "no counterpart");
  std::filesystem::remove(folder / "tokenizer_config.json");
  check_mentions(refusal(marked_json({"\u2581"}, {})), "normalizer");
}

TEST_CASE("the files of a byte-level vocabulary become what a tokenizer.json of the same becomes") {
  const temporary_folder folder;
  byte_level_files files(small_merges());
  const auto size = static_cast<std::uint32_t>(files.vocabulary.size());
  files.vocabulary["</s>"] = size;
  write_file(folder / "vocab.json", files.vocab_json());
  write_file(folder / "merges.txt", files.merges_txt());
  const gguf::metadata entries = text::read_vocabulary_metadata(folder / "vocab.json", size + 3);
  CHECK(at(entries, "model").text_if() == "gpt2");
  CHECK(at(entries, "pre").text_if() == "gpt-2");
  const auto tokens = texts(entries, "tokens");
  REQUIRE(tokens.size() == size + 3);
  for (const auto& [text, id] : files.vocabulary.items()) CHECK(tokens[id.get<std::size_t>()] == text);
  const auto kinds = types(entries);
  CHECK(std::vector<std::int32_t>(kinds.begin() + size - 1, kinds.end()) == std::vector<std::int32_t>{1, 3, 5, 5});
  std::vector<std::string> merges;
  for (const auto& [left, right] : small_merges()) merges.push_back(left + " " + right);
  CHECK(texts(entries, "merges") == merges);
  CHECK(at(entries, "bos_token_id").get_if<std::uint32_t>() == size);
  CHECK(at(entries, "add_bos_token").get_if<bool>() == true);
  write_file(folder / "tokenizer_config.json", R"({"add_prefix_space": true})");
  check_mentions(message_of<io_error>(
                     [&] { static_cast<void>(text::read_vocabulary_metadata(folder / "vocab.json", size + 3)); }),
                 "vocab.json", "no name for the pre-tokenizer");
}

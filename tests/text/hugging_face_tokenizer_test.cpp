// SPDX-License-Identifier: Apache-2.0
#include <zoqat/text/hugging_face_tokenizer.hpp>

#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/text_file.hpp>
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
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
namespace gguf = zoqat::io::gguf;

namespace {

const std::vector<std::string> texts{"",
                                     " ",
                                     "ab a  aba",
                                     " ab\n\nab's 123 aé 😑!!!",
                                     "a\tb\r\n  c    d",
                                     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \xd8\xb3\xd9\x84\xd8\xa7\xd9\x85",
                                     "aaaaaaa    aaaa hehehehe  bbb...!!!??",
                                     "Once upon a time, Lily said: \"Don't go!\" 3,14\tkm – naïve"};

// What a folder with the tokenizer of a file has is read to the same ids.
void check_same(const std::filesystem::path& file, const std::filesystem::path& folder) {
  const auto files = text::to_hugging_face_tokenizer(gguf::file(file));
  std::filesystem::create_directories(folder);
  write_file(folder / "tokenizer.json", files.tokenizer.dump());
  write_file(folder / "tokenizer_config.json", files.config.dump());
  const auto own = text::open_tokenizer(file), found = text::open_tokenizer(folder);
  CHECK(found.size() == own.size());
  CHECK(found.bos() == own.bos());
  CHECK(found.eos() == own.eos());
  CHECK(std::ranges::equal(found.suffix(), own.suffix()));
  std::vector<std::string> all = texts;
  if (const auto path = shared_data("data/tinystories/tinystories_valid_30k.txt"))
    all.push_back(io::read_text(*path));
  for (const std::string& text : all) {
    CAPTURE(text);
    const auto tokens = own.encode(text, true);
    CHECK(found.encode(text, true) == tokens);
    CHECK(found.decode(tokens) == own.decode(tokens));
  }
}

}  // namespace

TEST_CASE("a vocabulary with scores becomes merges that give the same tokens") {
  const temporary_folder folder;
  const auto path = project_file("examples/models/tiny-llama/tokenizer.bin");
  write_metadata(folder / "m.gguf", text::read_vocabulary_metadata(path, text::open_tokenizer(path).size() + 9));
  check_same(folder / "m.gguf", folder / "hf");
  const io::json object = io::read_json(folder / "hf/tokenizer.json"),
                 config = io::read_json(folder / "hf/tokenizer_config.json");
  CHECK(object.at("added_tokens").size() == 3);
  CHECK(object.at("added_tokens")[1].at("content") == "<s>");
  CHECK(config.at("bos_token") == "<s>");
  CHECK(config.at("add_bos_token") == true);
  CHECK(object.at("post_processor").at("single").size() == 2);
}

TEST_CASE("a byte-level vocabulary keeps its merges, its words and what stands around a text") {
  const temporary_folder folder;
  for (const text::gguf_words& words : text::known_gguf_words)
    for (const bool around : {false, true}) {
      CAPTURE(std::string(words.name));
      io::json object = byte_level_json(byte_level_files(small_merges()));
      object["pre_tokenizer"] = words.steps();
      object["model"]["ignore_merges"] = words.whole_words;
      write_file(folder / "tokenizer.json", object.dump());
      write_file(folder / "tokenizer_config.json", R"({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})");
      auto entries = text::read_vocabulary_metadata(folder / "tokenizer.json", 300);
      set_metadata(entries, "tokenizer.ggml.add_bos_token", around);
      set_metadata(entries, "tokenizer.ggml.add_eos_token", around);
      set_metadata(entries, "tokenizer.chat_template", std::string("{{ a template }}"));
      write_metadata(folder / "m.gguf", entries);
      check_same(folder / "m.gguf", folder / "hf");
      const io::json written = io::read_json(folder / "hf/tokenizer.json");
      CHECK(written.at("post_processor").is_null() == !around);
      if (around) CHECK(written.at("post_processor").at("pair").size() == 6);
      CHECK(io::read_json(folder / "hf/tokenizer_config.json").at("chat_template") == "{{ a template }}");
      // Spelled out in a text, they are the tokens that they are for the file's own reader.
      const std::string text = "ab<|endoftext|>ab";
      CHECK(text::open_tokenizer(folder / "hf").encode(text, true) ==
            text::open_tokenizer(folder / "m.gguf").encode(text, true));
    }
}

TEST_CASE("vocabularies that no tokenizer.json stands for are refused by the token") {
  const temporary_folder folder;
  const auto failure = [&](const gguf::metadata& entries) {
    write_metadata(folder / "t.gguf", entries);
    return message_of<io_error>(
        [&] { static_cast<void>(text::to_hugging_face_tokenizer(gguf::file(folder / "t.gguf"))); });
  };
  const auto scored = [&](const std::vector<vocabulary_entry>& pieces) {
    write_file(folder / "tokenizer.bin", tiny_vocabulary(pieces));
    return text::read_vocabulary_metadata(folder / "tokenizer.bin",
                                          text::open_tokenizer(folder / "tokenizer.bin").size());
  };
  write_metadata(folder / "fine.gguf", scored({{" ", -1}, {"a", -2}, {"aa", -3}}));
  CHECK_NOTHROW(static_cast<void>(text::to_hugging_face_tokenizer(gguf::file(folder / "fine.gguf"))));
  // Of "abc" the leftmost of "ab" and "bc" merges, whichever a list has first.
  check_mentions(failure(scored({{" ", -9}, {"a", -9}, {"b", -9}, {"c", -9}, {"bc", -1}, {"ab", -1}, {"abc x", -2}})),
                 "t.gguf", "\"abc");
  static_cast<void>(scored({{" ", -1}, {"a", -2}}));
  auto pieces = text::read_vocabulary_metadata(folder / "tokenizer.bin", 262);
  for (auto& [key, value] : pieces)
    if (key == "tokenizer.ggml.tokens") {
      auto all = *value.template array_if<std::string>();
      all[261] = "\xff";
      value = gguf::value(all);
    }
  check_mentions(failure(pieces), "t.gguf", "token 261 is no UTF-8");
  check_mentions(failure(scored({{"a", -1}, {"b", -2}})), "t.gguf",
                 "cannot hold this vocabulary");  // without a space
  check_mentions(failure(scored({{" ", -1}, {"a", -2}, {std::string(300, 'a'), -3}})), "token 261", "300 bytes");
}

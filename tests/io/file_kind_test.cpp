// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/file_kind.hpp>

#include <doctest/doctest.h>
#include <support/byte_level_files.hpp>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/tiny_llama.hpp>
#include <support/tiny_vocabulary.hpp>
#include <support/tokenizer_json_files.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/writer.hpp>
#include <zoqat/io/llama2c.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/text/open_tokenizer.hpp>

#include <array>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using io::file_kind;

namespace {

constexpr std::string_view pointer_of_lfs =
    "version https://git-lfs.github.com/spec/v1\noid "
    "sha256:4665a5ea423c2713d436b5ee50593a9640e0018c1550b5a0002f74190d"
    "6caea8\nsize 12345\n";

/// One file of each kind that is read, by name.
std::vector<std::pair<file_kind, std::string>> files(const temporary_folder& folder) {
  auto tensors = tiny_tensors(tiny_shape(true));
  io::write_safetensors(folder / "made", tensors.views());
  const std::string safetensors = read_file(folder / "made");
  io::gguf::writer(folder / "made", {{"general.architecture", "llama"}}, {}).commit();
  return {{file_kind::gguf, read_file(folder / "made")},
          {file_kind::safetensors, safetensors},
          {file_kind::llama2c_checkpoint, tiny_llama2c(true)},
          {file_kind::llama2c_tokenizer, tiny_vocabulary({})},
          {file_kind::json, byte_level_json(byte_level_files(small_merges())).dump()},
          {file_kind::sentencepiece, std::string("\n\x0E\n\x05<unk>\x15\0\0\0\0\x18\x02", 16)},
          {file_kind::run_log, "zoqatlog\4\0\0"},
          {file_kind::run_start, "zoqatsta\1\0\0"},
          {file_kind::zip, "PK\x03\x04"},
          {file_kind::pickle, "\x80\x02}q"}};
}

}  // namespace

TEST_CASE("files are known by how they begin") {
  const temporary_folder folder;
  for (const auto& [kind, content] : files(folder)) {
    CAPTURE(std::string(io::file_kind_name(kind)));
    CHECK(io::kind_of_file(content) == kind);
  }
  for (const std::string_view text :
       {"", "\n", "a", "Once upon a time, there was a mill. It was red.", "{", "\n\n", "<unk>"})
    CHECK(io::kind_of_file(text) == file_kind::unknown);
  CHECK(io::kind_of_file(std::string("{\0\0\0", 4)) == file_kind::unknown);  // a length of 123
  CHECK(io::kind_of_file(std::string(2000, '\0')) == file_kind::unknown);
}

TEST_CASE("a file in the place of another is named for what it is, by every reader") {
  const temporary_folder folder;
  write_file(folder / "merges.txt", "#version: 0.2\n");
  const auto check = [&](file_kind wanted, std::string_view name, auto&& read) {
    for (const auto& [kind, content] : files(folder)) {
      if (kind == wanted) continue;
      if (wanted == file_kind::unknown && kind == file_kind::json) continue;  // a text
      CAPTURE(std::string(name));
      write_file(folder / name, content);
      check_mentions(message_of<io_error>([&] { read(folder / name); }), name, "is ", io::file_kind_name(kind),
                     wanted == file_kind::unknown ? "a text" : io::file_kind_name(wanted), "is wanted");
    }
    write_file(folder / name, pointer_of_lfs);
    check_mentions(message_of<io_error>([&] { read(folder / name); }), name, "pointer of Git LFS", "git lfs pull");
    std::filesystem::remove(folder / name);
  };
  check(file_kind::gguf, "m.gguf", [](const auto& p) { io::gguf::file{p}; });
  check(file_kind::safetensors, "m.safetensors", [](const auto& p) { io::safetensors_file{p}; });
  check(file_kind::llama2c_checkpoint, "m.bin", [](const auto& p) { io::llama2c_checkpoint{p}; });
  check(file_kind::llama2c_tokenizer, "t.bin", [](const auto& p) { static_cast<void>(text::open_tokenizer(p)); });
  check(file_kind::json, "t.json", [](const auto& p) { static_cast<void>(text::open_tokenizer(p)); });
  check(file_kind::json, "vocab.json", [](const auto& p) { static_cast<void>(text::open_tokenizer(p)); });
  check(file_kind::unknown, "t.txt", [](const auto& p) { static_cast<void>(io::read_text(p)); });
}

TEST_CASE("the JSON files of a tokenizer are told from one another") {
  const temporary_folder folder;
  const byte_level_files small(small_merges());
  const auto failure = [&](std::string_view name, const std::string& content) {
    write_file(folder / name, content);
    write_file(folder / "merges.txt", small.merges_txt());
    return message_of<io_error>([&] { static_cast<void>(text::open_tokenizer(folder / name)); });
  };
  check_mentions(failure("tokenizer.json", small.vocab_json()), "tokenizer.json", "is a vocab.json", "merges.txt");
  check_mentions(failure("tokenizer.json", tiny_config(tiny_shape(true)).dump()), "is the config.json of a model");
  check_mentions(failure("vocab.json", byte_level_json(small).dump()), "vocab.json", "is a tokenizer.json");
}

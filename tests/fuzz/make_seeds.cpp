// SPDX-License-Identifier: Apache-2.0
//
// usage: make_seeds FOLDER: writes what the fuzzers begin with, FOLDER/TARGET/N: small files of each format, and some
// that ask for much: deep nesting, thousands of keys, huge numbers and lengths.
#include <hostile/readers.hpp>

#include <support/byte_level_files.hpp>
#include <support/files.hpp>
#include <support/tiny_vocabulary.hpp>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat::testing;
using namespace std::string_literals;

namespace {

std::vector<std::string> files_of(std::string_view name) {
  constexpr std::size_t bytes = 3000;
  std::vector<std::string> files;
  for (const reader& r : readers()) {
    if (r.name != name) continue;
    files.push_back(r.seed());
    for (const bomb& b : r.bombs(bytes)) files.push_back(r.repaired(b.text));
  }
  return files;
}

/// Those of targets that read memory.
std::map<std::string, std::vector<std::string>> further() {
  std::map<std::string, std::vector<std::string>> all{
      {"safetensors", files_of("safetensors_model")},
      {"llama2c", files_of("llama2c_model")},
      {"gguf", files_of("gguf_model")},
      {"run_log", files_of("log")},
      {"json", files_of("config")},
      {"sentencepiece", {"\n\x0E\n\x05<unk>\x15\0\0\0\0\x18\x02"s}},
      {"settings",
       {"\0[train]\nscheme = \"w4a4\"\nsteps = 600\ntrust = 0.5\n"s, "\0[train.a.b.c.d.e]\nx = [1, 2, [3, 4]]\n"s,
        "\1model=m\nscheme=w4a4\nsteps=600\ntrust=0.5\nseed=18446744073709551615\n"s}}};
  for (const std::string& file : files_of("squad")) all["json"].push_back(file);
  const std::string pieces = vocabulary_file({{"ab", -1}, {" a", -2}}).substr(4);
  all["tokenizer"] = {"\1"s + static_cast<char>(pieces.size()) + pieces + "ab ab a"};
  const std::string merges = byte_level_files(small_merges()).merges_txt();
  all["tokenizer_json"] = {"\0a text\0"s + merges, "\1 ab's\0{\"added_tokens\":[]}"s,
                           "\2ab ab\0{\"model\":{\"byte_fallback\":false}}"s, "\3a\0{}"s};
  return all;
}

void write(const std::filesystem::path& folder, const std::vector<std::string>& files) {
  std::filesystem::create_directories(folder);
  for (std::size_t i = 0; i != files.size(); ++i) write_file(folder / std::to_string(i), files[i]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 1;
  }
  const std::filesystem::path folder = argv[1];
  for (const reader& r : readers()) write(folder / r.name, files_of(r.name));
  for (const auto& [name, files] : further()) write(folder / name, files);
}

// SPDX-License-Identifier: Apache-2.0
#include <common/run_inputs.hpp>

#include <zoqat/core/hash.hpp>             // hash_bytes
#include <zoqat/core/version.hpp>          // ZOQAT_VERSION_MAJOR, …
#include <zoqat/io/file_kind.hpp>          // has_extension
#include <zoqat/io/mapped_file.hpp>        // mapped_file
#include <zoqat/simd/default_kernels.hpp>  // default_kernels

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <vector>

namespace zoqat::programs {

namespace {

using paths = std::vector<std::filesystem::path>;

/// The contents of files, a piece at a time so that they are never all in memory.
std::string hash_of(const paths& files) {
  constexpr std::size_t piece = std::size_t{1} << 24;
  std::uint64_t hash = hash_bytes({});
  for (const std::filesystem::path& path : files) {
    const io::mapped_file file(path);
    for (std::size_t at = 0; at < file.bytes().size(); at += piece) {
      const auto part = file.bytes().subspan(at, std::min(piece, file.bytes().size() - at));
      hash = hash_bytes(part, hash);
      file.release_pages(part);
    }
    hash = hash_bytes({}, hash);  // where one ends and the next begins
  }
  return fmt::format("{:016x}", hash);
}

/// The files of a folder for which `wanted` is true, by name.
template <class Wanted>
paths files_in(const std::filesystem::path& folder, Wanted&& wanted) {
  paths found;
  for (const auto& entry : std::filesystem::directory_iterator(folder.empty() ? "." : folder))
    if (wanted(entry.path()) && entry.is_regular_file()) found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

bool configures_a_model(const std::filesystem::path& file) { return file.filename() == "config.json"; }
bool belongs_to_a_model(const std::filesystem::path& file) {
  const std::string name = file.filename().native();
  return configures_a_model(file) || name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") ||
         io::has_extension(file, ".gguf");
}
bool belongs_to_a_tokenizer(const std::filesystem::path& file) {
  constexpr std::array<std::string_view, 8> names{
      "tokenizer.model",       "tokenizer.json",          "vocab.json",         "merges.txt", "tokenizer.bin",
      "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"};
  return std::ranges::find(names, file.filename().native()) != names.end();
}

/// A folder's files that belong there; or the file and those beside it that do.
template <class InFolder, class Beside>
paths files_of(const std::filesystem::path& path, InFolder&& in_folder, Beside&& beside) {
  if (std::filesystem::is_directory(path)) return files_in(path, in_folder);
  paths files = files_in(path.parent_path(), beside);
  files.push_back(path);
  return files;
}

}  // namespace

run_inputs inputs_of_run(const std::filesystem::path& model, const std::filesystem::path& tokenizer,
                         std::span<const named_file> texts) {
  run_inputs inputs{
      {"model", hash_of(files_of(model, belongs_to_a_model, configures_a_model))},
      {"tokenizer", hash_of(files_of(tokenizer, belongs_to_a_tokenizer, belongs_to_a_tokenizer))},
      {"version of zoqat", fmt::format("{}.{}.{}", ZOQAT_VERSION_MAJOR, ZOQAT_VERSION_MINOR, ZOQAT_VERSION_PATCH)},
      {"instruction set", std::string(simd::default_kernels::target())}};
  for (const auto& [option, path] : texts)
    if (!path.empty()) inputs.emplace("file of " + option, hash_of({path}));
  return inputs;
}

void require_same_inputs(const zo::run_log& log, run_inputs here) {
  const run_inputs& then = log.header().inputs;
  const auto set = then.find("instruction set");
  if (set != then.end() && set->second != here["instruction set"]) {
    fmt::print(stderr,
               "{}: the run began on {} and goes on on {}: the last bits of its losses may differ from those "
               "of a run that stays\n",
               log.path().native(), set->second, here["instruction set"]);
    here["instruction set"] = set->second;
  }
  log.require_inputs(here);
}

}  // namespace zoqat::programs

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/mapped_file.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::io {

/// The files that may be mistaken for one another. The first ones are this library's to read.
enum class file_kind : std::uint8_t {
  gguf,
  safetensors,
  llama2c_checkpoint,
  llama2c_tokenizer,
  json,
  run_log,
  run_start,
  sentencepiece,
  utf16,
  gzip,
  bzip2,
  xz,
  zstd,
  zip,
  pickle,
  parquet,
  unknown,
};

/// What each is, in words that follow "is" or "but", and for files that are of no use as they are what to do.
inline constexpr std::array<std::string_view, 17> file_kind_names{
    "a GGUF file",
    "a safetensors file",
    "a llama2.c checkpoint",
    "a llama2.c tokenizer",
    "JSON",
    "a run log",
    "the start of a run",
    "a sentencepiece model",
    "a text in UTF-16; make it UTF-8, as by iconv",
    "compressed by gzip; unpack it",
    "compressed by bzip2; unpack it",
    "compressed by xz; unpack it",
    "compressed by zstd; unpack it",
    "a zip archive, as PyTorch's checkpoints are; unpack it, or convert the model to safetensors",
    "a pickle of Python's, as old checkpoints of PyTorch are; convert the model to safetensors",
    "a Parquet table; convert it to JSON lines",
    "of no known kind"};

[[nodiscard]] constexpr std::string_view file_kind_name(file_kind kind) noexcept {
  return file_kind_names[static_cast<std::size_t>(kind)];
}

/// Whether a file's name ends so, such as in ".gguf", in letters of either case.
[[nodiscard]] inline bool has_extension(const std::filesystem::path& path, std::string_view extension) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(path.extension().native(), extension, {}, lower, lower);
}

namespace detail {

inline constexpr std::array<std::pair<std::string_view, file_kind>, 12> file_beginnings{{
    {"GGUF", file_kind::gguf},
    {"zoqatlog", file_kind::run_log},
    {"zoqatsta", file_kind::run_start},
    {"\xFF\xFE", file_kind::utf16},
    {"\xFE\xFF", file_kind::utf16},
    {"\x1F\x8B", file_kind::gzip},
    {"BZh", file_kind::bzip2},
    {"\xFD\x37zXZ", file_kind::xz},
    {"\x28\xB5\x2F\xFD", file_kind::zstd},
    {"PK\x03\x04", file_kind::zip},
    {"\x80\x02", file_kind::pickle},
    {"PAR1", file_kind::parquet},
}};

/// The int32 number `index` of a content that has it, or -1.
inline std::int32_t int_at(std::string_view content, std::size_t index) noexcept {
  std::int32_t value = -1;
  if (content.size() >= (index + 1) * sizeof(value))
    std::memcpy(&value, content.data() + index * sizeof(value), sizeof(value));
  return value;
}
inline bool begins_like_safetensors(std::string_view content) noexcept {
  std::uint64_t header = 0;
  if (content.size() < sizeof(header) + 2) return false;
  std::memcpy(&header, content.data(), sizeof(header));
  return header <= content.size() - sizeof(header) && content[sizeof(header)] == '{';
}
/// The length of the longest piece, then the score, the length and the text of "<unk>".
inline bool begins_like_llama2c_tokenizer(std::string_view content) noexcept {
  return int_at(content, 2) == 5 && content.substr(12, 5) == "<unk>";
}
/// Seven sizes that could be a model's, the vocabulary's with a sign.
inline bool begins_like_llama2c_checkpoint(std::string_view content) noexcept {
  for (const std::size_t field : {0u, 1u, 2u, 3u, 4u, 6u})
    if (int_at(content, field) < 1 || int_at(content, field) > 1 << 24) return false;
  return content.size() > 1024 && int_at(content, 0) % int_at(content, 3) == 0;
}
/// The first token's piece is "<unk>".
inline bool begins_like_sentencepiece(std::string_view content) noexcept {
  return content.size() > 2 && content.starts_with('\n') && content.substr(2, 7) == "\n\x05<unk>";
}
/// '{' or '[' may begin a number too, whose next byte is zero.
inline bool begins_like_json(std::string_view content) noexcept {
  const std::size_t first = content.find_first_not_of(" \t\r\n");
  if (first == content.npos || first + 1 == content.size()) return false;
  return (content[first] == '{' || content[first] == '[') && content[first + 1] != '\0';
}

}  // namespace detail

/// What a file seems to be by how it begins; its name has no say.
[[nodiscard]] inline file_kind kind_of_file(std::string_view content) noexcept {
  for (const auto& [beginning, kind] : detail::file_beginnings)
    if (content.starts_with(beginning)) return kind;
  if (detail::begins_like_sentencepiece(content)) return file_kind::sentencepiece;
  if (detail::begins_like_llama2c_tokenizer(content)) return file_kind::llama2c_tokenizer;
  if (detail::begins_like_safetensors(content)) return file_kind::safetensors;
  if (detail::begins_like_json(content)) return file_kind::json;
  if (detail::begins_like_llama2c_checkpoint(content)) return file_kind::llama2c_checkpoint;
  return file_kind::unknown;
}

/// The file, of which no other known kind is wanted. Throws io_error, with what it is, if it is of one.
[[nodiscard]] inline const mapped_file& require_file_kind(const mapped_file& file, file_kind wanted) {
  const file_kind found = kind_of_file(file.text());
  require<io_error>(found == wanted || found == file_kind::unknown, "{}: is {}, but {} is wanted",
                    file.path().native(), file_kind_name(found), file_kind_name(wanted));
  return file;
}

}  // namespace zoqat::io

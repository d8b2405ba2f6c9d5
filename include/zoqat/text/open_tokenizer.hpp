// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/file_descriptor.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/byte_level_bpe.hpp>
#include <zoqat/text/gguf_tokenizer.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>
#include <zoqat/text/special_names.hpp>
#include <zoqat/text/tokenizer_json.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// A tokenizer in any of the formats that are read. Its functions may be called by several threads.
class any_tokenizer {
 public:
  using token = std::uint32_t;
  using formats = std::variant<llama2c_tokenizer, bpe_tokenizer>;

  explicit any_tokenizer(formats format) : format_(std::move(format)) {}

  /// Number of tokens: ids are below it.
  [[nodiscard]] std::size_t size() const {
    return std::visit([](const auto& t) { return t.size(); }, format_);
  }
  /// The token that begins a text, and the one that ends it, for models that have them.
  [[nodiscard]] std::optional<token> bos() const {
    return std::visit([](const auto& t) -> std::optional<token> { return t.bos(); }, format_);
  }
  [[nodiscard]] std::optional<token> eos() const {
    return std::visit([](const auto& t) -> std::optional<token> { return t.eos(); }, format_);
  }
  /// The tokens that follow a whole text, as for training; none for most.
  [[nodiscard]] std::span<const token> suffix() const {
    return std::visit(
        [](const auto& t) -> std::span<const token> {
          if constexpr (requires { t.suffix(); }) return t.suffix();
          return {};
        },
        format_);
  }
  /// The bytes that texts lose, since they have no token (see bpe_tokenizer).
  [[nodiscard]] std::span<const std::uint8_t> dropped_bytes() const {
    return std::visit(
        [](const auto& t) -> std::span<const std::uint8_t> {
          if constexpr (requires { t.dropped_bytes(); }) return t.dropped_bytes();
          return {};
        },
        format_);
  }
  /// Tokens of `text`, after those that begin a text if `bos`. Special tokens that it spells out are those tokens
  /// where the format's own `encode` says so. Throws value_error as that does.
  [[nodiscard]] std::vector<token> encode(std::string_view text, bool bos) const {
    return std::visit([&](const auto& t) { return t.encode(text, bos); }, format_);
  }
  /// The text of a sequence of tokens, of which special ones have none. Throws value_error on a token that is not in
  /// the vocabulary.
  [[nodiscard]] std::string decode(std::span<const token> tokens) const {
    return std::visit([&](const auto& t) { return t.decode(tokens); }, format_);
  }
  /// The format itself, for `std::visit`.
  [[nodiscard]] const formats& format() const noexcept { return format_; }

 private:
  formats format_;
};

namespace detail {

// Throws io_error where `path` is a sentencepiece model: reading it takes a library that this one does not link.
inline void refuse_sentencepiece(const std::filesystem::path& path) {
  std::error_code ignored;
  require<io_error>(path.extension() != ".model" || !std::filesystem::exists(path, ignored),
                    "{}: a model of the sentencepiece library, which <zoqat/ext/sentencepiece.hpp> reads for "
                    "programs that link it; or give a tokenizer.json of the same tokenizer",
                    path.native());
}

}  // namespace detail

/// Opens a tokenizer by what `path` is: a folder with `tokenizer.json`, with `vocab.json` and `merges.txt`, or with
/// `tokenizer.bin` (the first of these), a `tokenizer.json` or other `.json` file of that kind, a `vocab.json` with
/// `merges.txt` beside it, a llama2.c tokenizer (`.bin`), or that of a GGUF file (`.gguf`). BOS and EOS are those
/// that the folder's configuration names, if it does (`special_names.hpp`). Throws io_error when it is none of these,
/// missing or malformed.
[[nodiscard]] inline any_tokenizer open_tokenizer(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found || status.type() == std::filesystem::file_type::none)
    fail_errno(path, "open", error.value());
  if (std::filesystem::is_directory(status)) {
    for (const std::string_view name : {"tokenizer.json", "vocab.json", "tokenizer.bin"})
      if (std::filesystem::exists(path / name, error)) return open_tokenizer(path / name);
    detail::refuse_sentencepiece(path / "tokenizer.model");
    fail<io_error>("{}: holds neither tokenizer.json nor vocab.json nor tokenizer.bin", path.native());
  }

  detail::refuse_sentencepiece(path);
  if (path.extension() == ".bin") return any_tokenizer(llama2c_tokenizer(path));
  if (io::has_extension(path, ".gguf")) return any_tokenizer(read_gguf_tokenizer(io::gguf::file(path)));
  require<io_error>(path.extension() == ".json",
                    "{}: not a tokenizer: a folder, a tokenizer.json, a vocab.json with merges.txt beside it, a "
                    "llama2.c .bin or a .gguf file is wanted",
                    path.native());
  const std::filesystem::path folder = path.parent_path();
  const special_names names = read_special_names(folder);
  if (path.filename() == "vocab.json")
    return any_tokenizer(read_byte_level_bpe(path, folder / "merges.txt",
                                             {.bos = names.bos,
                                              .eos = names.eos,
                                              .add_bos = names.add_bos,
                                              .add_eos = names.add_eos,
                                              .prefix_space = names.prefix_space.value_or(false)}));
  return any_tokenizer(read_tokenizer_json(
      path, {.bos = names.bos, .eos = names.eos, .add_bos = names.add_bos, .add_eos = names.add_eos}));
}

}  // namespace zoqat::text

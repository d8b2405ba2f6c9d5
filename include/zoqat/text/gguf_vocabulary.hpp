// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/io/text_file.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/byte_level_bpe.hpp>
#include <zoqat/text/gguf_words.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>
#include <zoqat/text/merges_text.hpp>
#include <zoqat/text/open_tokenizer.hpp>
#include <zoqat/text/special_names.hpp>

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

namespace detail {

/// The arrays of a vocabulary, filled up to the rows of a model's embedding.
struct gguf_tokens {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;

  void add(std::string text, gguf_token type) {
    texts.push_back(std::move(text));
    types.push_back(static_cast<std::int32_t>(type));
  }
  void fill_up(std::size_t size) {
    while (texts.size() < size) add(fmt::format("[PAD{}]", texts.size()), gguf_token::unused);
  }
};

inline void require_room(std::size_t tokens, std::size_t size, std::string_view source) {
  require<io_error>(tokens <= size, "{}: {} tokens, but the model has {}: take the tokenizer that it was made with",
                    source, tokens, size);
}

/// A merge of a model of type BPE, as a line.
inline std::string merge_line(const io::json& merge) {
  return merge.is_string() ? merge.get<std::string>()
                           : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
}

}  // namespace detail

/// A tokenizer of llama2.c as metadata of a model with `size` rows of embedding: engines encode by score as it does.
/// Throws io_error, with `source`, for a model with fewer.
[[nodiscard]] inline io::gguf::metadata vocabulary_metadata(const llama2c_tokenizer& tokenizer, std::size_t size,
                                                            std::string_view source) {
  detail::require_room(tokenizer.size(), size, source);
  detail::gguf_tokens tokens;
  tokens.add("<unk>", gguf_token::unknown);
  tokens.add("<s>", gguf_token::control);
  tokens.add("</s>", gguf_token::control);
  std::vector<float> scores;
  for (llama2c_tokenizer::token id = 0; id != tokenizer.size(); ++id) {
    scores.push_back(tokenizer.score(id));
    if (id < 3) continue;
    std::string piece;
    for (const char c : tokenizer.piece(id)) c == ' ' ? piece += gguf_space : piece += c;
    tokens.add(std::move(piece), id < 3 + 256 ? gguf_token::byte : gguf_token::normal);
  }
  tokens.fill_up(size);
  scores.resize(size, 0.0f);
  return {{"tokenizer.ggml.model", "llama"},
          {"tokenizer.ggml.pre", "default"},
          {"tokenizer.ggml.tokens", tokens.texts},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.token_type", tokens.types},
          {"tokenizer.ggml.bos_token_id", tokenizer.bos()},
          {"tokenizer.ggml.eos_token_id", tokenizer.eos()},
          {"tokenizer.ggml.unknown_token_id", tokenizer.unknown()},
          {"tokenizer.ggml.add_bos_token", true},
          {"tokenizer.ggml.add_space_prefix", true}};
}

/// The same of a byte-level tokenizer, with the tokenizer.json `object` that it was made from, and its merges as
/// lines. Throws io_error, with `file`, for one that engines would not take for what it is: with a normalizer, with
/// words that they know no name for, with added tokens that strip spaces, or not byte-level at all.
[[nodiscard]] inline io::gguf::metadata vocabulary_metadata(const bpe_tokenizer& tokenizer, const io::json& object,
                                                            const std::vector<std::string>& merges, std::size_t size,
                                                            std::string_view file) {
  detail::require_room(tokenizer.size(), size, file);
  const auto part = [&](std::string_view key) { return object.contains(key) ? object.at(key) : io::json(); };
  require<io_error>(part("normalizer").is_null(),
                    "{}: the normalizer {} has no counterpart in GGUF: engines would not normalize", file,
                    io::detail::shown(part("normalizer")));
  const io::json& model = detail::member(object, "model", file);
  const bool whole_words = io::get_if<bool>(model, "ignore_merges", file).value_or(false);
  const gguf_words* const words = find_gguf_words(part("pre_tokenizer"), whole_words);
  require<io_error>(words != nullptr,
                    "{}: engines have no name for the pre-tokenizer {}{}; those that are known here are {}", file,
                    io::detail::shown(part("pre_tokenizer")), whole_words ? " with \"ignore_merges\"" : "",
                    known_gguf_words_names());

  detail::gguf_tokens tokens;
  for (std::uint32_t id = 0; id != tokenizer.size(); ++id)
    tokens.add(std::string(tokenizer.model().piece(id)), gguf_token::normal);
  for (const io::json& added : part("added_tokens")) {
    const auto id = io::get<std::uint32_t>(added, "id", file);
    const bool special = io::get_if<bool>(added, "special", file).value_or(false);
    for (const std::string_view strip : {"lstrip", "rstrip"})
      require<io_error>(!io::get_if<bool>(added, strip, file).value_or(false),
                        "{}: added token {} with \"{}\" has no counterpart in GGUF: engines would keep the spaces",
                        file, io::detail::shown(added.at("content")), strip);
    tokens.texts[id] = io::get<std::string>(added, "content", file);
    tokens.types[id] = static_cast<std::int32_t>(special ? gguf_token::control : gguf_token::user_defined);
  }
  tokens.fill_up(size);

  const std::vector<std::uint32_t> prefix = tokenizer.encode("", true);
  require<io_error>(prefix.empty() || (prefix.size() == 1 && prefix[0] == tokenizer.bos()),
                    "{}: {} tokens go before a text, but engines put one there at most", file, prefix.size());
  const std::span<const std::uint32_t> suffix = tokenizer.suffix();
  require<io_error>(suffix.empty() || (suffix.size() == 1 && suffix[0] == tokenizer.eos()),
                    "{}: {} tokens follow a text, but engines put EOS there alone", file, suffix.size());
  io::gguf::metadata entries{{"tokenizer.ggml.model", "gpt2"},
                             {"tokenizer.ggml.pre", words->name},
                             {"tokenizer.ggml.tokens", tokens.texts},
                             {"tokenizer.ggml.token_type", tokens.types},
                             {"tokenizer.ggml.merges", merges}};
  if (tokenizer.bos()) entries.emplace_back("tokenizer.ggml.bos_token_id", *tokenizer.bos());
  if (tokenizer.eos()) entries.emplace_back("tokenizer.ggml.eos_token_id", *tokenizer.eos());
  entries.emplace_back("tokenizer.ggml.add_bos_token", !prefix.empty());
  entries.emplace_back("tokenizer.ggml.add_eos_token", !suffix.empty());
  return entries;
}

/// What a tokenizer.json would say of a byte-level vocabulary whose files are in a folder, but for its vocabulary and
/// merges: GPT-2's words, and special tokens.
[[nodiscard]] inline io::json byte_level_object(const bpe_tokenizer& tokenizer, const std::filesystem::path& folder) {
  io::json added = io::json::array();
  for (const std::string& special : byte_level_bpe_options{}.special)
    if (const auto id = tokenizer.model().find(special))
      added.push_back({{"id", *id}, {"content", special}, {"special", true}});
  const bool prefix_space = read_special_names(folder).prefix_space.value_or(false);
  return {{"model", io::json::object()},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", prefix_space}}},
          {"added_tokens", added}};
}

/// What a GGUF file says of its tokenizer, untouched, for a model with `size` rows of embedding. Throws io_error for
/// one with other than that many tokens.
[[nodiscard]] inline io::gguf::metadata vocabulary_metadata(const io::gguf::file& from, std::size_t size) {
  const auto tokens = *detail::texts_of(from, "tokenizer.ggml.tokens", max_tokens).texts_if();
  require<io_error>(tokens == size, "{}: {} tokens, but the model has {}", from.path().native(), tokens, size);
  io::gguf::metadata entries;
  for (const auto& [key, value] : from.metadata())
    if (key.starts_with("tokenizer.")) entries.emplace_back(key, value);
  return entries;
}

/// The tokenizer at `path`, a llama2.c .bin, a tokenizer.json, a vocab.json with merges.txt beside it or that of a
/// .gguf file, as metadata of a model with `size` rows of embedding. Throws io_error as `open_tokenizer` and the
/// functions above do.
[[nodiscard]] inline io::gguf::metadata read_vocabulary_metadata(const std::filesystem::path& path,
                                                                 std::size_t size) {
  if (io::has_extension(path, ".gguf")) return vocabulary_metadata(io::gguf::file(path), size);
  const any_tokenizer tokenizer = open_tokenizer(path);
  if (const auto* const by_score = std::get_if<llama2c_tokenizer>(&tokenizer.format()))
    return vocabulary_metadata(*by_score, size, path.native());
  require<io_error>(path.extension() == ".json",
                    "{}: GGUF files are written with a tokenizer.json, a vocab.json with merges.txt beside it or a "
                    "llama2.c .bin: give one of these",
                    path.native());
  const auto& by_merges = std::get<bpe_tokenizer>(tokenizer.format());
  io::json object;
  std::vector<std::string> merges;
  if (path.filename() == "vocab.json") {
    object = byte_level_object(by_merges, path.parent_path());
    for_each_merge_line(io::read_text(path.parent_path() / "merges.txt"),
                        [&](std::string_view line, std::size_t) { merges.emplace_back(line); });
  } else {
    const io::mapped_file file(path);
    object = io::parse_json_parts(file.text(), path.native(), {"/model/merges", "/model/vocab"},
                                  [&](const io::json_part& part) {
                                    if (part.place == 0) merges.push_back(detail::merge_line(part.value));
                                  });
  }
  return vocabulary_metadata(by_merges, object, merges, size, path.native());
}

}  // namespace zoqat::text

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/gguf_words.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>
#include <zoqat/text/token_decoder.hpp>
#include <zoqat/text/tokenizer_json.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

namespace detail {

/// The vocabulary of a GGUF file.
struct gguf_vocabulary {
  std::string source;
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;

  explicit gguf_vocabulary(const io::gguf::file& from)
      : source(from.path().native()),
        texts(from.get<std::vector<std::string>>("tokenizer.ggml.tokens")),
        types(from.get<std::vector<std::int32_t>>("tokenizer.ggml.token_type")) {
    require<io_error>(types.size() == texts.size(), "{}: tokenizer.ggml.token_type: {} types of {} tokens", source,
                      types.size(), texts.size());
  }
  [[nodiscard]] bool is(std::size_t id, gguf_token type) const noexcept {
    return types[id] == static_cast<std::int32_t>(type);
  }
  [[nodiscard]] const std::string& text(std::size_t id, std::string_view key) const {
    require<io_error>(id < texts.size(), "{}: {}: {} is no token of {}", source, key, id, texts.size());
    return texts[id];
  }
};

template <class T>
void append_bytes(std::vector<std::byte>& to, const T& x) {
  const auto bytes = std::as_bytes(std::span(&x, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// A vocabulary with scores, as a file of llama2.c would have it. Tokens that are not for texts never merge.
inline llama2c_tokenizer read_scored_tokenizer(const io::gguf::file& from, const gguf_vocabulary& all) {
  const std::string& source = all.source;
  const auto scores = from.get<std::vector<float>>("tokenizer.ggml.scores");
  require<io_error>(scores.size() == all.texts.size(), "{}: tokenizer.ggml.scores: {} scores of {} tokens", source,
                    scores.size(), all.texts.size());
  for (const auto& [key, wanted] : {std::pair("tokenizer.ggml.bos_token_id", llama2c_tokenizer::bos()),
                                    std::pair("tokenizer.ggml.eos_token_id", llama2c_tokenizer::eos())}) {
    const auto id = from.get_if<std::size_t>(key).value_or(wanted);
    require<io_error>(id == wanted, "{}: {}: {} is not supported with tokenizer.ggml.model 'llama'; {} is", source,
                      key, id, wanted);
  }
  for (const std::string_view key : {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix"})
    require<io_error>(from.get_if<bool>(key).value_or(true), "{}: {}: false is not supported", source, key);
  require<io_error>(!from.get_if<bool>("tokenizer.ggml.add_eos_token").value_or(false),
                    "{}: tokenizer.ggml.add_eos_token: true is not supported with tokenizer.ggml.model 'llama'",
                    source);

  std::vector<std::string> texts = all.texts;
  replace_in_tokens{std::string(gguf_space), " "}(texts);
  std::vector<std::byte> pieces;
  std::size_t longest = 1;
  for (std::size_t id = 0; id != all.texts.size(); ++id) {
    require<io_error>(!all.is(id, gguf_token::user_defined),
                      "{}: token {} is user-defined, which is not supported with tokenizer.ggml.model 'llama'",
                      source, id);
    const std::string& piece = texts[id];
    longest = std::max(longest, piece.size());
    const bool merges = all.is(id, gguf_token::normal);
    append_bytes(pieces, merges ? scores[id] : std::numeric_limits<float>::lowest());
    append_bytes(pieces, static_cast<std::int32_t>(piece.size()));
    const auto bytes = std::as_bytes(std::span(piece));
    pieces.insert(pieces.end(), bytes.begin(), bytes.end());
  }
  std::vector<std::byte> file;
  append_bytes(file, static_cast<std::int32_t>(longest));
  file.insert(file.end(), pieces.begin(), pieces.end());
  return llama2c_tokenizer(file, source);
}

/// A byte-level vocabulary, as a tokenizer.json would have it.
inline bpe_tokenizer read_merged_tokenizer(const io::gguf::file& from, const gguf_vocabulary& all) {
  const std::string& source = all.source;
  const auto name = from.get<std::string>("tokenizer.ggml.pre");
  const auto words = std::ranges::find(known_gguf_words, name, &gguf_words::name);
  require<io_error>(words != known_gguf_words.end(), "{}: tokenizer.ggml.pre: '{}' is not supported; known are {}",
                    source, name, known_gguf_words_names());
  io::json vocabulary = io::json::object(), added = io::json::array();
  for (std::size_t id = 0; id != all.texts.size(); ++id) {
    const bool special = all.is(id, gguf_token::control);
    if (!special && !all.is(id, gguf_token::user_defined)) {
      require<io_error>(!vocabulary.contains(all.texts[id]), "{}: token {}: '{}' comes twice", source, id,
                        all.texts[id]);
      vocabulary[all.texts[id]] = id;
    } else {
      added.push_back({{"id", id}, {"content", all.texts[id]}, {"special", special}, {"normalized", false}});
    }
  }
  tokenizer_json_options options;
  for (const auto& [key, to] : {std::pair("tokenizer.ggml.bos_token_id", &options.bos),
                                std::pair("tokenizer.ggml.eos_token_id", &options.eos)})
    if (const auto id = from.get_if<std::size_t>(key)) *to = all.text(*id, key);
  // Where nothing is said engines put the token before texts of LLaMA 3 alone, and none after them.
  options.add_bos = from.get_if<bool>("tokenizer.ggml.add_bos_token").value_or(words->whole_words && options.bos);
  options.add_eos = from.get_if<bool>("tokenizer.ggml.add_eos_token").value_or(false);
  return parse_tokenizer_json({{"added_tokens", added},
                               {"pre_tokenizer", words->steps()},
                               {"decoder", {{"type", "ByteLevel"}}},
                               {"model",
                                {{"type", "BPE"},
                                 {"vocab", vocabulary},
                                 {"merges", from.get<std::vector<std::string>>("tokenizer.ggml.merges")},
                                 {"ignore_merges", words->whole_words}}}},
                              source, options);
}

}  // namespace detail

/// The tokenizer in a GGUF file: of the kinds "llama", which merges by scores, and "gpt2", which is byte-level.
/// Throws io_error, with the key and the value, for other kinds and for settings that are not supported.
[[nodiscard]] inline std::variant<llama2c_tokenizer, bpe_tokenizer> read_gguf_tokenizer(const io::gguf::file& from) {
  const auto kind = from.get<std::string>("tokenizer.ggml.model");
  require<io_error>(kind == "llama" || kind == "gpt2",
                    "{}: tokenizer.ggml.model: '{}' is not supported; 'llama' and 'gpt2' are", from.path().native(),
                    kind);
  const detail::gguf_vocabulary all(from);
  if (kind == "gpt2") return detail::read_merged_tokenizer(from, all);
  return detail::read_scored_tokenizer(from, all);
}

}  // namespace zoqat::text

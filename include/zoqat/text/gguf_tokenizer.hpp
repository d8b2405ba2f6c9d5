// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/gguf_words.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>
#include <zoqat/text/piece_table.hpp>
#include <zoqat/text/tokenizer_json.hpp>
#include <zoqat/text/vocabulary_list.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

namespace detail {

/// An array of texts of a GGUF file: of those that it must have. Throws io_error for more than `most`.
inline const io::gguf::value& texts_of(const io::gguf::file& from, std::string_view key, std::size_t most) {
  const io::gguf::value* const stored = from.find_value(key);
  const std::string& source = from.path().native();
  require<io_error>(stored != nullptr, "{}: the metadata lack '{}', an array of string", source, key);
  const auto count = stored->texts_if();
  require<io_error>(count.has_value(), "{}: {}: holds a {}, but an array of string is wanted", source, key,
                    stored->type_text());
  require<io_error>(*count <= most, "{}: {}: {} texts, more than {}", source, key, *count, most);
  return *stored;
}

/// A token that stands for itself in texts, as an element of "added_tokens" in a tokenizer.json.
inline io::json added_token_json(std::size_t id, std::string_view text, bool special) {
  return {{"id", id}, {"content", text}, {"special", special}, {"normalized", false}};
}

/// The vocabulary of a GGUF file.
struct gguf_vocabulary {
  std::string source;
  piece_table texts;
  std::vector<std::int32_t> types;

  /// In the texts `space`, if given, is a space.
  explicit gguf_vocabulary(const io::gguf::file& from, std::string_view space = {})
      : source(from.path().native()), types(from.get<std::vector<std::int32_t>>("tokenizer.ggml.token_type")) {
    const io::gguf::value& stored = texts_of(from, "tokenizer.ggml.tokens", max_tokens);
    require<io_error>(types.size() == *stored.texts_if(), "{}: tokenizer.ggml.token_type: {} types of {} tokens",
                      source, types.size(), *stored.texts_if());
    texts.reserve(types.size(), stored.bytes().size());
    stored.for_each_text([&](std::string_view text) {
      texts.put(texts.size(), space.empty() ? text : std::string_view(with_spaces(text, space)));
    });
  }
  [[nodiscard]] bool is(std::size_t id, gguf_token type) const noexcept {
    return types[id] == static_cast<std::int32_t>(type);
  }
  [[nodiscard]] std::string_view text(std::size_t id, std::string_view key) const {
    require<io_error>(id < texts.size(), "{}: {}: {} is no token of {}", source, key, id, texts.size());
    return texts[id];
  }

 private:
  const std::string& with_spaces(std::string_view text, std::string_view space) {
    spaced_.clear();
    for (std::size_t end = text.find(space); end != text.npos; end = text.find(space)) {
      spaced_.append(text.substr(0, end)).append(" ");
      text.remove_prefix(end + space.size());
    }
    return spaced_.append(text);
  }

  std::string spaced_;
};

/// A vocabulary with scores. Tokens that are not for texts never merge.
inline llama2c_tokenizer read_scored_tokenizer(const io::gguf::file& from) {
  gguf_vocabulary all(from, gguf_space);
  const std::string& source = all.source;
  auto scores = from.get<std::vector<float>>("tokenizer.ggml.scores");
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
  for (std::size_t id = 0; id != all.texts.size(); ++id) {
    require<io_error>(!all.is(id, gguf_token::user_defined),
                      "{}: token {} is user-defined, which is not supported with tokenizer.ggml.model 'llama'",
                      source, id);
    if (!all.is(id, gguf_token::normal)) scores[id] = std::numeric_limits<float>::lowest();
  }
  return {std::move(all.texts), std::move(scores), source};
}

/// A byte-level vocabulary, as a tokenizer.json would have it but for its tokens and merges.
struct merged_vocabulary {
  piece_table texts;  ///< without those of added tokens
  tokenizer_json_options options;
  io::json object;

  explicit merged_vocabulary(const io::gguf::file& from) {
    gguf_vocabulary all(from);
    const std::string& source = all.source;
    const auto name = from.get<std::string>("tokenizer.ggml.pre");
    const auto words = std::ranges::find(known_gguf_words, name, &gguf_words::name);
    require<io_error>(words != known_gguf_words.end(), "{}: tokenizer.ggml.pre: '{}' is not supported; known are {}",
                      source, name, known_gguf_words_names());
    for (const auto& [key, to] : {std::pair("tokenizer.ggml.bos_token_id", &options.bos),
                                  std::pair("tokenizer.ggml.eos_token_id", &options.eos)})
      if (const auto id = from.get_if<std::size_t>(key)) *to = all.text(*id, key);
    // Where nothing is said engines put the token before texts of LLaMA 3 alone, and none after them.
    options.add_bos = from.get_if<bool>("tokenizer.ggml.add_bos_token").value_or(words->whole_words && options.bos);
    options.add_eos = from.get_if<bool>("tokenizer.ggml.add_eos_token").value_or(false);
    object = {
        {"added_tokens", take_added(all)},
        {"pre_tokenizer", words->steps()},
        {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
        {"model", {{"type", "BPE"}, {"ignore_merges", words->whole_words}}}};
    texts = std::move(all.texts);
  }

 private:
  static io::json take_added(gguf_vocabulary& all) {
    io::json added = io::json::array();
    for (std::size_t id = 0; id != all.texts.size(); ++id) {
      require<io_error>(!all.texts[id].empty(), "{}: token {} is empty", all.source, id);
      const bool special = all.is(id, gguf_token::control);
      if (!special && !all.is(id, gguf_token::user_defined)) continue;
      require<io_error>(added.size() != added_tokens_json::most, "{}: more than {} added tokens", all.source,
                        added.size());
      added.push_back(added_token_json(id, all.texts[id], special));
      all.texts.clear(id);
    }
    return added;
  }
};

inline bpe_tokenizer read_merged_tokenizer(const io::gguf::file& from) {
  merged_vocabulary parts(from);
  const std::string& source = from.path().native();
  const io::gguf::value& lines = texts_of(from, "tokenizer.ggml.merges", max_merges);
  const auto merges = [&](auto&& f) {
    lines.for_each_text([&, number = std::size_t{0}](std::string_view line) mutable { f(line, number++); });
  };
  return make_tokenizer(parts.object, vocabulary_list(source, std::move(parts.texts)), merges, source, parts.options);
}

}  // namespace detail

/// The tokenizer in a GGUF file: of the kinds "llama", which merges by scores, and "gpt2", which is byte-level.
/// Throws io_error, with the key and the value, for other kinds and for settings that are not supported.
[[nodiscard]] inline std::variant<llama2c_tokenizer, bpe_tokenizer> read_gguf_tokenizer(const io::gguf::file& from) {
  const auto kind = from.get<std::string>("tokenizer.ggml.model");
  require<io_error>(kind == "llama" || kind == "gpt2",
                    "{}: tokenizer.ggml.model: '{}' is not supported; 'llama' and 'gpt2' are", from.path().native(),
                    kind);
  if (kind == "gpt2") return detail::read_merged_tokenizer(from);
  return detail::read_scored_tokenizer(from);
}

}  // namespace zoqat::text

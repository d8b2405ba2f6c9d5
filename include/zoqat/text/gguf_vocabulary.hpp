// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>
#include <zoqat/text/open_tokenizer.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// The types of tokens in GGUF files.
enum class gguf_token : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// A way to cut texts into words that engines know by name: the steps of a tokenizer.json, in which ByteLevel comes
/// last.
struct gguf_words {
  std::string_view name;
  std::string_view pattern;  ///< of a Split before ByteLevel, which then cuts no more
  bool digits = false;       ///< each digit is a word
  bool whole_words = false;  ///< a word that is in the vocabulary is its token
};

inline constexpr std::array<gguf_words, 4> known_gguf_words{{
    {.name = "gpt-2", .pattern = {}},
    {.name = "smollm", .pattern = {}, .digits = true},
    {.name = "llama-bpe",
     .pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
                R"(\s*[\r\n]+|\s+(?!\S)|\s+)",
     .whole_words = true},
    {.name = "qwen2",
     .pattern = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
                R"(\s*[\r\n]+|\s+(?!\S)|\s+)"},
}};

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

/// The steps of a pre-tokenizer, one after another.
inline std::vector<io::json> steps_of(const io::json& part) {
  if (part.is_null()) return {};
  if (!has_step(part, "pretokenizers", "Sequence")) return {part};
  std::vector<io::json> steps;
  for (const io::json& step : member(part, "pretokenizers", "")) steps.push_back(step);
  return steps;
}

/// Whether a ByteLevel spells bytes alone, or cuts GPT-2's words too.
inline bool is_byte_level(const io::json& step, bool cuts) {
  return step.value("type", "") == "ByteLevel" && !step.value("add_prefix_space", true) &&
         step.value("use_regex", true) == cuts;
}
inline bool cuts_by(const io::json& step, std::string_view pattern) {
  return step.value("type", "") == "Split" && step.value("behavior", "") == "Isolated" &&
         !step.value("invert", false) && step.contains("pattern") && step.at("pattern").value("Regex", "") == pattern;
}

/// The name of what a pre-tokenizer of tokenizer.json does, if engines know it.
inline const gguf_words* find_words(const io::json& part, bool whole_words) {
  const std::vector<io::json> steps = steps_of(part);
  for (const gguf_words& known : known_gguf_words) {
    const bool first = known.digits || !known.pattern.empty();
    if (steps.size() != 1 + std::size_t{first} || known.whole_words != whole_words) continue;
    if (!is_byte_level(steps.back(), known.pattern.empty())) continue;
    if (known.digits && !(steps[0].value("type", "") == "Digits" && steps[0].value("individual_digits", false)))
      continue;
    if (!known.pattern.empty() && !cuts_by(steps[0], known.pattern)) continue;
    return &known;
  }
  return nullptr;
}

/// The merges of a model of type BPE, as lines.
inline std::vector<std::string> merge_lines(const io::json& model, std::string_view file) {
  std::vector<std::string> lines;
  for (const io::json& merge : member(model, "merges", file))
    lines.push_back(merge.is_string() ? merge.get<std::string>()
                                      : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>());
  return lines;
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
    for (const char c : tokenizer.piece(id)) c == ' ' ? piece += "\u2581" : piece += c;
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

/// The same of a byte-level tokenizer, with the tokenizer.json `object` that it was made from. Throws io_error, with
/// `file`, for one that engines would not take for what it is: with a normalizer, with words that they know no name
/// for, or not byte-level at all.
[[nodiscard]] inline io::gguf::metadata vocabulary_metadata(const bpe_tokenizer& tokenizer, const io::json& object,
                                                            std::size_t size, std::string_view file) {
  detail::require_room(tokenizer.size(), size, file);
  const auto part = [&](std::string_view key) { return object.contains(key) ? object.at(key) : io::json(); };
  require<io_error>(part("normalizer").is_null(),
                    "{}: the normalizer {} has no counterpart in GGUF: engines would not normalize", file,
                    io::detail::shown(part("normalizer")));
  const io::json& model = detail::member(object, "model", file);
  const bool whole_words = io::get_if<bool>(model, "ignore_merges", file).value_or(false);
  const gguf_words* const words = detail::find_words(part("pre_tokenizer"), whole_words);
  if (!words) {
    std::vector<std::string_view> names;
    for (const gguf_words& known : known_gguf_words) names.push_back(known.name);
    fail<io_error>("{}: engines have no name for the pre-tokenizer {}{}; those that are known here are {}", file,
                   io::detail::shown(part("pre_tokenizer")), whole_words ? " with \"ignore_merges\"" : "",
                   fmt::join(names, ", "));
  }

  detail::gguf_tokens tokens;
  for (std::uint32_t id = 0; id != tokenizer.size(); ++id)
    tokens.add(std::string(tokenizer.model().piece(id)), gguf_token::normal);
  for (const io::json& added : part("added_tokens")) {
    const auto id = io::get<std::uint32_t>(added, "id", file);
    const bool special = io::get_if<bool>(added, "special", file).value_or(false);
    tokens.texts[id] = io::get<std::string>(added, "content", file);
    tokens.types[id] = static_cast<std::int32_t>(special ? gguf_token::control : gguf_token::user_defined);
  }
  tokens.fill_up(size);

  const std::vector<std::uint32_t> prefix = tokenizer.encode("", true);
  require<io_error>(prefix.empty() || (prefix.size() == 1 && prefix[0] == tokenizer.bos()),
                    "{}: {} tokens go before a text, but engines put one there at most", file, prefix.size());
  io::gguf::metadata entries{{"tokenizer.ggml.model", "gpt2"},
                             {"tokenizer.ggml.pre", words->name},
                             {"tokenizer.ggml.tokens", tokens.texts},
                             {"tokenizer.ggml.token_type", tokens.types},
                             {"tokenizer.ggml.merges", detail::merge_lines(model, file)}};
  if (tokenizer.bos()) entries.emplace_back("tokenizer.ggml.bos_token_id", *tokenizer.bos());
  if (tokenizer.eos()) entries.emplace_back("tokenizer.ggml.eos_token_id", *tokenizer.eos());
  entries.emplace_back("tokenizer.ggml.add_bos_token", !prefix.empty());
  return entries;
}

/// The tokenizer at `path`, a llama2.c .bin or a tokenizer.json, as metadata of a model with `size` rows of
/// embedding. Throws io_error as `open_tokenizer` and the functions above do.
[[nodiscard]] inline io::gguf::metadata read_vocabulary_metadata(const std::filesystem::path& path,
                                                                 std::size_t size) {
  const any_tokenizer tokenizer = open_tokenizer(path);
  if (const auto* const by_score = std::get_if<llama2c_tokenizer>(&tokenizer.format()))
    return vocabulary_metadata(*by_score, size, path.native());
  require<io_error>(path.extension() == ".json" && path.filename() != "vocab.json",
                    "{}: GGUF files are written with a tokenizer.json or a llama2.c .bin: give one of these",
                    path.native());
  return vocabulary_metadata(std::get<bpe_tokenizer>(tokenizer.format()), io::read_json(path), size, path.native());
}

}  // namespace zoqat::text

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/file_kind.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/mapped_file.hpp>
#include <zoqat/text/added_tokens.hpp>
#include <zoqat/text/bpe_model.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/merges_text.hpp>
#include <zoqat/text/pre_tokenizer.hpp>
#include <zoqat/text/token_decoder.hpp>
#include <zoqat/text/vocabulary_list.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// What the files of a byte-level vocabulary leave open.
struct byte_level_bpe_options {
  /// Tokens that stand for no text of their own; those that the vocabulary lacks are left out.
  std::vector<std::string> special{"<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>", "<mask>"};
  /// The tokens that begin and end a text. By default `</s>`, which is what OPT uses for both, or else
  /// `<|endoftext|>`, which is what GPT-2 uses, or none.
  std::optional<std::string> bos = std::nullopt, eos = std::nullopt;
  /// Whether a text gets them: by default BOS alone.
  std::optional<bool> add_bos = std::nullopt, add_eos = std::nullopt;
  /// A text gets a space in front unless it has one.
  bool prefix_space = false;
};

namespace detail {

/// Members of a tokenizer.json, any of which may come first. Tokens may have these names too, but ids are numbers.
inline constexpr std::array<std::string_view, 6> tokenizer_json_parts{"version", "truncation",   "padding",
                                                                      "model",   "added_tokens", "normalizer"};
inline bool is_part_of_tokenizer_json(std::string_view name) noexcept {
  return std::ranges::find(tokenizer_json_parts, name) != tokenizer_json_parts.end();
}

// The token of that name; the first of `defaults` that there is, where none is asked for.
inline std::optional<std::uint32_t> named_token(const bpe_model& model, const std::optional<std::string>& name,
                                                std::initializer_list<std::string_view> defaults,
                                                std::string_view source) {
  if (name) {
    const auto id = model.find(*name);
    require<io_error>(id.has_value(), "{}: there is no token '{}'", source, *name);
    return id;
  }
  for (const std::string_view candidate : defaults)
    if (const auto id = model.find(candidate)) return id;
  return std::nullopt;
}

}  // namespace detail

/// GPT-2's byte-level BPE from `vocab.json` and `merges.txt` (section 2.2 of "Language Models are Unsupervised
/// Multitask Learners"; its `encoder.py`), from memory. The sources name the texts in messages. Throws io_error, with
/// the file and line, for texts that are malformed, ids that are not 0, 1, 2, ..., bytes without a token, merges of
/// or into tokens that are not there, and for `bos` and `eos` that are not there.
[[nodiscard]] inline bpe_tokenizer parse_byte_level_bpe(std::string_view vocabulary,
                                                        std::string_view vocabulary_source, std::string_view merges,
                                                        std::string_view merges_source,
                                                        const byte_level_bpe_options& options = {}) {
  vocabulary_list list(std::string(vocabulary_source), vocabulary.size());
  const auto add = [&](const io::json_part& part) {
    require<io_error>(part.value.is_number() || !detail::is_part_of_tokenizer_json(part.name),
                      "{}: is a tokenizer.json and no vocab.json; give it that name", vocabulary_source);
    if (part.in_object) list.add(part);
  };
  const io::json ids = io::parse_json_parts(vocabulary, vocabulary_source, {""}, add, limits_beside_tokens);
  list.require_object(ids);
  list.require_contiguous();
  bpe_model model(std::move(list).take(), vocabulary_source, {});
  model.require_byte_alphabet(vocabulary_source);
  add_merge_lines(model, merges, merges_source);

  std::vector<added_token> special;
  for (const std::string& text : options.special)
    if (const auto id = model.find(text))
      special.push_back({.text = text, .id = *id, .stored = text, .special = true});
  const auto bos = detail::named_token(model, options.bos, {"</s>", "<|endoftext|>"}, vocabulary_source);
  const auto eos = detail::named_token(model, options.eos, {"</s>", "<|endoftext|>"}, vocabulary_source);
  return bpe_tokenizer({.model = std::move(model),
                        .added = std::move(special),
                        .added_after_normalization = {},
                        .normalizer = {},
                        .words = spell_bytes{.prefix_space = options.prefix_space},
                        .decoder = decode_spelled_bytes,
                        .prefix = detail::prefix_of_texts({}, bos, options.add_bos, vocabulary_source),
                        .suffix = detail::suffix_of_texts({}, eos, options.add_eos, vocabulary_source),
                        .bos = bos,
                        .eos = eos});
}

/// Reads the vocabulary and the merges of a byte-level BPE tokenizer from files.
[[nodiscard]] inline bpe_tokenizer read_byte_level_bpe(const std::filesystem::path& vocabulary,
                                                       const std::filesystem::path& merges,
                                                       const byte_level_bpe_options& options = {}) {
  const io::mapped_file vocabulary_file(vocabulary), merges_file(merges);
  return parse_byte_level_bpe(io::require_file_kind(vocabulary_file, io::file_kind::json).text(), vocabulary.native(),
                              merges_file.text(), merges.native(), options);
}

}  // namespace zoqat::text

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/io/gguf/file.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/text/bpe_tokenizer.hpp>
#include <zoqat/text/gguf_tokenizer.hpp>
#include <zoqat/text/gguf_words.hpp>
#include <zoqat/text/llama2c_tokenizer.hpp>
#include <zoqat/text/tokenizer_json.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// The contents of the files that Hugging Face's libraries read a tokenizer from.
struct hugging_face_tokenizer {
  io::json tokenizer;  ///< tokenizer.json
  io::json config;     ///< tokenizer_config.json
};

namespace detail {

/// A post-processor that puts tokens around a text, and around each of a pair; null without any.
inline io::json post_processor_json(const std::optional<std::string>& before, std::optional<std::uint32_t> bos,
                                    const std::optional<std::string>& after, std::optional<std::uint32_t> eos) {
  if (!before && !after) return nullptr;
  io::json single = io::json::array(), pair = io::json::array(), tokens = io::json::object();
  const auto special = [&](const std::optional<std::string>& name, std::optional<std::uint32_t> id) {
    if (!name) return;
    tokens[*name] = {{"id", *name}, {"ids", {id.value()}}, {"tokens", {*name}}};
    pair.push_back({{"SpecialToken", {{"id", *name}, {"type_id", 0}}}});
  };
  for (const char* const of : {"A", "B"}) {
    special(before, bos);
    pair.push_back({{"Sequence", {{"id", of}, {"type_id", 0}}}});
    special(after, eos);
    if (single.empty()) single = pair;
  }
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

/// Whether JSON can hold a text.
inline bool is_utf8(std::string_view text) {
  try {
    static_cast<void>(io::json(text).dump());
    return true;
  } catch (const io::json::exception&) {
    return false;
  }
}
inline void require_utf8(std::string_view text, std::string_view what, std::string_view source) {
  require<io_error>(is_utf8(text), "{}: {} is no UTF-8, and cannot stand in a file of JSON", source, what);
}

inline io::json tokenizer_config_json(const io::gguf::file& from, const tokenizer_json_options& options) {
  io::json config{{"tokenizer_class", "PreTrainedTokenizerFast"},
                  {"clean_up_tokenization_spaces", false},
                  {"add_bos_token", options.add_bos.value_or(false)},
                  {"add_eos_token", options.add_eos.value_or(false)}};
  if (options.bos) config["bos_token"] = *options.bos;
  if (options.eos) config["eos_token"] = *options.eos;
  if (const auto form = from.get_if<std::string>("tokenizer.chat_template")) {
    require_utf8(*form, "tokenizer.chat_template", from.path().native());
    config["chat_template"] = *form;
  }
  return config;
}

/// The vocabulary of a tokenizer.json. Throws io_error where two tokens have one text.
inline io::json vocabulary_json(const gguf_vocabulary& all) {
  io::json vocabulary = io::json::object();
  for (std::size_t id = 0; id != all.texts.size(); ++id) {
    require_utf8(all.texts[id], fmt::format("token {}", id), all.source);
    const auto [first, is_new] = vocabulary.emplace(std::string(all.texts[id]), id);
    require<io_error>(is_new, "{}: tokens {} and {} have the same text, which no tokenizer.json can hold", all.source,
                      first->get<std::size_t>(), id);
  }
  return vocabulary;
}

/// A pair of tokens that merges.
struct scored_merge {
  std::string_view left, right;
  float score;  ///< of what it becomes
};

/// Whatever two tokens become a third one, the best first. Of those that become the same one, the pair whose left
/// token is longer comes first: among equals the leftmost merges, which begins with what was merged before.
inline std::vector<scored_merge> merges_by_score(const gguf_vocabulary& all, const std::vector<float>& scores) {
  constexpr std::size_t longest = 256;  // bytes; what is taken for a token's parts grows with the square
  const auto normal = [&](std::optional<std::uint32_t> id) { return id && all.is(*id, gguf_token::normal); };
  std::vector<scored_merge> merges;
  for (std::size_t id = 0; id != all.texts.size(); ++id) {
    const std::string_view text = all.texts[id];
    if (!normal(static_cast<std::uint32_t>(id))) continue;
    require<io_error>(text.size() <= longest,
                      "{}: token {} has {} bytes, but merges are made of tokens of at most {}", all.source, id,
                      text.size(), longest);
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      if ((static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) continue;  // within a character
      const std::string_view left = text.substr(0, cut), right = text.substr(cut);
      if (normal(all.texts.find(left)) && normal(all.texts.find(right))) merges.push_back({left, right, scores[id]});
    }
  }
  const auto rank = [](const scored_merge& m) { return std::tuple(-m.score, -static_cast<double>(m.left.size())); };
  std::ranges::stable_sort(merges, {}, rank);
  return merges;
}

/// A vocabulary with scores as a tokenizer.json, with the steps that LLaMA's has.
inline hugging_face_tokenizer scored_tokenizer_json(const io::gguf::file& from, const llama2c_tokenizer& tokenizer) {
  gguf_vocabulary all(from);
  all.texts.index([](std::size_t, std::size_t) {});
  const auto named = [&](std::uint32_t id) { return std::string(all.texts[id]); };
  const tokenizer_json_options options{
      .bos = named(tokenizer.bos()), .eos = named(tokenizer.eos()), .add_bos = true, .add_eos = false};
  io::json added = io::json::array(), merges = io::json::array();
  for (std::size_t id = 0; id != all.texts.size(); ++id)
    if (all.is(id, gguf_token::control) || all.is(id, gguf_token::unknown))
      added.push_back(added_token_json(id, all.texts[id], true));
  for (const scored_merge& m : merges_by_score(all, from.get<std::vector<float>>("tokenizer.ggml.scores")))
    merges.push_back({m.left, m.right});
  const io::json space{{"String", " "}}, mark{{"String", gguf_space}};
  hugging_face_tokenizer result;
  result.tokenizer = {
      {"added_tokens", std::move(added)},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", gguf_space}},
          {{"type", "Replace"}, {"pattern", space}, {"content", gguf_space}}}}}},
      {"pre_tokenizer", nullptr},
      {"post_processor", post_processor_json(options.bos, tokenizer.bos(), std::nullopt, std::nullopt)},
      {"decoder",
       {{"type", "Sequence"},
        {"decoders",
         {{{"type", "Replace"}, {"pattern", mark}, {"content", " "}},
          {{"type", "ByteFallback"}},
          {{"type", "Fuse"}},
          {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", named(tokenizer.unknown())},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocabulary_json(all)},
        {"merges", std::move(merges)}}}};
  result.config = tokenizer_config_json(from, options);
  return result;
}

/// A byte-level vocabulary as a tokenizer.json.
inline hugging_face_tokenizer merged_tokenizer_json(const io::gguf::file& from, const bpe_tokenizer& tokenizer) {
  merged_vocabulary parts(from);
  io::json merges = io::json::array();
  texts_of(from, "tokenizer.ggml.merges", max_merges).for_each_text([&](std::string_view line) {
    const std::size_t cut = line.find(' ', 1);
    merges.push_back({line.substr(0, cut), line.substr(cut + 1)});
  });
  hugging_face_tokenizer result;
  result.config = tokenizer_config_json(from, parts.options);
  const auto around = [](std::optional<bool> add, const std::optional<std::string>& token) {
    return add.value_or(false) ? token : std::nullopt;
  };
  result.tokenizer = std::move(parts.object);
  result.tokenizer["normalizer"] = nullptr;
  result.tokenizer["post_processor"] =
      post_processor_json(around(parts.options.add_bos, parts.options.bos), tokenizer.bos(),
                          around(parts.options.add_eos, parts.options.eos), tokenizer.eos());
  result.tokenizer["model"]["vocab"] = vocabulary_json(gguf_vocabulary(from));
  result.tokenizer["model"]["merges"] = std::move(merges);
  return result;
}

/// Throws io_error unless both encode each token's text alike, and that of each two which follow one another, but for
/// texts that are no UTF-8 or spell out one of `special`.
template <class Own, class Written>
void require_same_tokens(const Own& own, const Written& written, const std::vector<std::string>& special,
                         std::string_view source) {
  const auto is_left_out = [&](const std::string& text) {
    return !is_utf8(text) ||
           std::ranges::any_of(special, [&](const std::string& s) { return text.find(s) != text.npos; });
  };
  std::string before;
  for (std::uint32_t id = 0; id != own.size(); ++id) {
    const std::vector<std::uint32_t> alone{id};
    const std::string text = own.decode(alone);
    for (const std::string& part : {text, before + text}) {
      if (is_left_out(part)) continue;
      const auto wanted = own.encode(part, true), found = written.encode(part, true);
      require<io_error>(wanted == found,
                        "{}: the text {} of token {} has the tokens {} here, but {} by the merges of a "
                        "tokenizer.json, which cannot hold this vocabulary",
                        source, io::detail::shown(io::json(part)), id, fmt::join(wanted, " "), fmt::join(found, " "));
    }
    before = text;
  }
}

}  // namespace detail

/// The tokenizer of a GGUF file as Hugging Face's libraries read it. Merging by scores becomes merging by rank; that
/// each token's text is encoded alike is made sure of. What differs are texts that spell out special tokens or U+2581
/// of a vocabulary with scores: for Hugging Face these are the tokens, and spaces. Throws io_error as
/// `read_gguf_tokenizer` does, for tokens of the same text, and for scores that no order of merges stands for.
[[nodiscard]] inline hugging_face_tokenizer to_hugging_face_tokenizer(const io::gguf::file& from) {
  const std::string& source = from.path().native();
  return std::visit(
      [&](const auto& own) {
        hugging_face_tokenizer result;
        std::vector<std::string> special;  // which this library's reader of scores does not look for
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(own)>, bpe_tokenizer>) {
          result = detail::merged_tokenizer_json(from, own);
        } else {
          result = detail::scored_tokenizer_json(from, own);
          for (const io::json& added : result.tokenizer["added_tokens"]) special.push_back(added["content"]);
        }
        for (const char* const key : {"truncation", "padding"}) result.tokenizer[key] = nullptr;
        for (io::json& added : result.tokenizer["added_tokens"])
          for (const char* const flag : {"single_word", "lstrip", "rstrip"}) added[flag] = false;
        result.tokenizer["version"] = "1.0";
        detail::require_same_tokens(own, parse_tokenizer_json(result.tokenizer, source), special, source);
        return result;
      },
      read_gguf_tokenizer(from));
}

}  // namespace zoqat::text

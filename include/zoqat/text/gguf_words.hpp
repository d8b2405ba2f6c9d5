// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/io/json.hpp>
#include <zoqat/text/tokenizer_steps.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::text {

/// The types of tokens in GGUF files.
enum class gguf_token : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

/// What stands for a space in vocabularies with scores, as in sentencepiece's.
inline constexpr std::string_view gguf_space = "\u2581";

/// A way to cut texts into words that engines know by name, which is all that a GGUF file says of it.
struct gguf_words {
  std::string_view name;
  std::string_view pattern;  ///< what cuts; if empty, that of GPT-2
  bool digits = false;       ///< before that each digit is a word of its own
  bool whole_words = false;  ///< a word that is in the vocabulary is its token

  /// The same as steps of a tokenizer.json.
  [[nodiscard]] io::json steps() const {
    io::json all = io::json::array();
    if (digits) all.push_back({{"type", "Digits"}, {"individual_digits", true}});
    if (!pattern.empty())
      all.push_back(
          {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
    all.push_back(
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", pattern.empty()}});
    return {{"type", "Sequence"}, {"pretokenizers", all}};
  }
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

/// Their names, separated by commas.
[[nodiscard]] inline std::string known_gguf_words_names() {
  std::string names;
  for (const gguf_words& words : known_gguf_words) names.append(names.empty() ? "" : ", ").append(words.name);
  return names;
}

namespace detail {

/// The steps of a pre-tokenizer without what changes nothing: options at their defaults and those about offsets.
inline io::json plain_steps(const io::json& part) {
  io::json all = io::json::array();
  if (part.is_null()) return all;
  const bool sequence = part.value("type", "") == "Sequence";
  const io::json steps = sequence ? part.at("pretokenizers") : io::json::array({part});
  for (io::json step : steps) {
    step.erase("trim_offsets");
    if (step.value("type", "") == "ByteLevel" && !step.contains("use_regex")) step["use_regex"] = true;
    if (step.value("type", "") == "Split" && !step.contains("invert")) step["invert"] = false;
    all.push_back(std::move(step));
  }
  return all;
}

}  // namespace detail

/// What engines call the words that a pre-tokenizer of a tokenizer.json cuts, or null.
[[nodiscard]] inline const gguf_words* find_gguf_words(const io::json& part, bool whole_words) {
  for (const gguf_words& known : known_gguf_words)
    if (known.whole_words == whole_words && detail::plain_steps(part) == detail::plain_steps(known.steps()))
      return &known;
  return nullptr;
}

}  // namespace zoqat::text

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/byte_level_files.hpp>
#include <zoqat/io/json.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// An entry of "added_tokens".
inline io::json added_token_json(std::uint32_t id, std::string_view content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

/// A tokenizer.json in the manner of GPT-2's: the vocabulary and merges of `byte_level_files`, `<|endoftext|>` after
/// it.
inline io::json byte_level_json(const byte_level_files& files) {
  const io::json byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  auto merges = io::json::array();
  for (const auto& [left, right] : files.merges) merges.push_back(left + ' ' + right);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens",
           {added_token_json(static_cast<std::uint32_t>(files.vocabulary.size()), "<|endoftext|>", true)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", files.vocabulary},
            {"merges", merges}}}};
}

/// One in the manner of LLaMA 2's: `<unk>`, `<s>`, `</s>`, the bytes, then `pieces`; spaces become marks.
inline io::json marked_json(const std::vector<std::string>& pieces, const merge_list& merges) {
  io::json vocabulary{{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int b = 0; b != 256; ++b) vocabulary[fmt::format("<0x{:02X}>", b)] = vocabulary.size();
  for (const std::string& piece : pieces) vocabulary[piece] = vocabulary.size();
  auto pairs = io::json::array();
  for (const auto& [left, right] : merges) pairs.push_back({left, right});
  const io::json steps = io::json::parse(R"({
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": null,
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}})");
  io::json all{
      {"version", "1.0"},
      {"added_tokens",
       {added_token_json(0, "<unk>", true), added_token_json(1, "<s>", true), added_token_json(2, "</s>", true)}},
      {"model",
       {{"type", "BPE"},
        {"unk_token", "<unk>"},
        {"fuse_unk", true},
        {"byte_fallback", true},
        {"vocab", vocabulary},
        {"merges", pairs}}}};
  all.update(steps);
  return all;
}

}  // namespace zoqat::testing

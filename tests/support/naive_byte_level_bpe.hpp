// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// GPT-2's byte-level BPE written down as it is defined, with neither a regular expression nor a Unicode library: the
/// oracle of `text::read_byte_level_bpe`. Quadratic in the length of a word.
class naive_byte_level_bpe {
 public:
  /// The merges in the order of their ranks.
  naive_byte_level_bpe(std::map<std::string, std::uint32_t> vocabulary,
                       const std::vector<std::pair<std::string, std::string>>& merges)
      : vocabulary_(std::move(vocabulary)) {
    for (const auto& merge : merges) ranks_.emplace(merge, ranks_.size());
  }

  [[nodiscard]] std::vector<std::uint32_t> encode(std::string_view text) const {
    std::vector<std::uint32_t> tokens;
    for (const std::string_view word : words(text))
      for (const std::string& piece : merged(known(spelled(word)))) tokens.push_back(vocabulary_.at(piece));
    return tokens;
  }

  /// The words that GPT-2's pattern finds: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  [[nodiscard]] static std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> found;
    while (!text.empty()) {
      const std::size_t length = word_length(text);
      found.push_back(text.substr(0, length));
      text.remove_prefix(length);
    }
    return found;
  }

 private:
  enum class kind { white_space, letter, number, other };
  struct character {
    kind what;
    std::size_t length;
  };

  static std::size_t word_length(std::string_view text) {
    for (const std::string_view contraction : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
      if (text.starts_with(contraction)) return contraction.size();
    const std::size_t space = text.front() == ' ' ? 1 : 0;
    if (space < text.size()) {
      const kind first = first_of(text.substr(space)).what;
      if (first != kind::white_space) return space + run_length(text.substr(space), first);
    }
    // White space up to the last character before a word, or all of it where none follows, or where it is but one.
    const std::size_t all = run_length(text, kind::white_space);
    if (all == text.size()) return all;
    std::size_t last = 0;
    for (std::size_t at = 0; at != all; at += first_of(text.substr(at)).length) last = at;
    return last == 0 ? all : last;
  }

  static std::size_t run_length(std::string_view text, kind what) {
    std::size_t length = 0;
    while (length != text.size()) {
      const character next = first_of(text.substr(length));
      if (next.what != what) break;
      length += next.length;
    }
    return length;
  }

  // A byte that does not begin well-formed UTF-8 (table 3-7 of the Unicode standard) is a character of its own.
  static character first_of(std::string_view text) {
    const auto byte = [&](std::size_t i) -> unsigned {
      return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const auto continues = [&](std::size_t i) { return byte(i) >= 0x80 && byte(i) <= 0xBF; };
    if (byte(0) < 0x80) return {kind_of(byte(0)), 1};
    if (byte(0) >= 0xC2 && byte(0) <= 0xDF && continues(1))
      return {kind_of((byte(0) - 0xC0) * 64 + (byte(1) - 0x80)), 2};
    if (byte(0) >= 0xE0 && byte(0) <= 0xEF && continues(1) && continues(2)) {
      const unsigned value = (byte(0) - 0xE0) * 4096 + (byte(1) - 0x80) * 64 + (byte(2) - 0x80);
      if (value >= 0x800 && (value < 0xD800 || value > 0xDFFF)) return {kind_of(value), 3};
    }
    if (byte(0) >= 0xF0 && byte(0) <= 0xF4 && continues(1) && continues(2) && continues(3)) {
      const unsigned value =
          (byte(0) - 0xF0) * 262144 + (byte(1) - 0x80) * 4096 + (byte(2) - 0x80) * 64 + (byte(3) - 0x80);
      if (value >= 0x10000 && value <= 0x10FFFF) return {kind_of(value), 4};
    }
    return {kind::other, 1};
  }

  static kind kind_of(unsigned value) {
    if (value < 0x80) {
      if (value == ' ' || (value >= 9 && value <= 13)) return kind::white_space;
      if ((value >= 'a' && value <= 'z') || (value >= 'A' && value <= 'Z')) return kind::letter;
      return value >= '0' && value <= '9' ? kind::number : kind::other;
    }
    struct range {
      unsigned first, last;
      kind what;
    };
    constexpr kind w = kind::white_space, l = kind::letter, n = kind::number, o = kind::other;
    // The characters of the tests and of WikiText-2's test file, with the general categories and the property
    // White_Space of Unicode 14.
    static constexpr range ranges[] = {
        {0x85, 0x85, w},         {0xA0, 0xA0, w},       {0xA3, 0xA3, o},       {0xA5, 0xA5, o},
        {0xA9, 0xA9, o},         {0xAA, 0xAA, l},       {0xAD, 0xAD, o},       {0xB0, 0xB0, o},
        {0xB2, 0xB2, n},         {0xBD, 0xBD, n},       {0xC0, 0xC1, l},       {0xC5, 0xC6, l},
        {0xC9, 0xC9, l},         {0xD7, 0xD7, o},       {0xDF, 0xE1, l},       {0xE3, 0xEB, l},
        {0xED, 0xEF, l},         {0xF1, 0xF1, l},       {0xF3, 0xF4, l},       {0xF6, 0xF6, l},
        {0xFA, 0xFA, l},         {0xFC, 0xFC, l},       {0x107, 0x107, l},     {0x10D, 0x10D, l},
        {0x11B, 0x11B, l},       {0x12B, 0x12B, l},     {0x142, 0x142, l},     {0x14C, 0x14D, l},
        {0x160, 0x160, l},       {0x16B, 0x16B, l},     {0x17E, 0x17F, l},     {0x1C5, 0x1C5, l},
        {0x1D0, 0x1D0, l},       {0x1D4, 0x1D4, l},     {0x1DC, 0x1DC, l},     {0x259, 0x259, l},
        {0x25B, 0x25B, l},       {0x26A, 0x26A, l},     {0x28A, 0x28A, l},     {0x2B0, 0x2B0, l},
        {0x2C8, 0x2C8, l},       {0x2D0, 0x2D0, l},     {0x300, 0x301, o},     {0x30D, 0x30D, o},
        {0x316, 0x316, o},       {0x345, 0x345, o},     {0x358, 0x358, o},     {0x3A0, 0x3A0, l},
        {0x3A9, 0x3A9, l},       {0x3AD, 0x3AD, l},     {0x3B1, 0x3B2, l},     {0x3B4, 0x3B5, l},
        {0x3B9, 0x3B9, l},       {0x3BB, 0x3BD, l},     {0x3BF, 0x3C0, l},     {0x3C2, 0x3C5, l},
        {0x3C9, 0x3C9, l},       {0x3CC, 0x3CC, l},     {0x41F, 0x41F, l},     {0x432, 0x432, l},
        {0x434, 0x434, l},       {0x438, 0x438, l},     {0x43A, 0x43A, l},     {0x43D, 0x43D, l},
        {0x5D0, 0x5D1, l},       {0x5D9, 0x5D9, l},     {0x5DC, 0x5DC, l},     {0x5E8, 0x5EA, l},
        {0x627, 0x627, l},       {0x62A, 0x62A, l},     {0x62F, 0x62F, l},     {0x633, 0x633, l},
        {0x643, 0x644, l},       {0x648, 0x648, l},     {0x663, 0x664, n},     {0x6A0, 0x6A0, l},
        {0x915, 0x915, l},       {0x917, 0x917, l},     {0x928, 0x928, l},     {0x930, 0x930, l},
        {0x932, 0x932, l},       {0x937, 0x937, l},     {0x941, 0x941, o},     {0x947, 0x947, o},
        {0x94B, 0x94B, o},       {0x94D, 0x94D, o},     {0x1112, 0x1112, l},   {0x1161, 0x1161, l},
        {0x11AB, 0x11AB, l},     {0x1680, 0x1680, w},   {0x180E, 0x180E, o},   {0x1E9E, 0x1E9E, l},
        {0x1EA3, 0x1EA3, l},     {0x1EA9, 0x1EA9, l},   {0x2003, 0x2003, w},   {0x200B, 0x200B, o},
        {0x200D, 0x200D, o},     {0x2011, 0x2011, o},   {0x2013, 0x2014, o},   {0x2018, 0x2019, o},
        {0x201C, 0x201D, o},     {0x2020, 0x2021, o},   {0x2026, 0x2026, o},   {0x2028, 0x2029, w},
        {0x202F, 0x202F, w},     {0x2044, 0x2044, o},   {0x205F, 0x205F, w},   {0x20A9, 0x20A9, o},
        {0x20AC, 0x20AC, o},     {0x20B1, 0x20B1, o},   {0x212B, 0x212B, l},   {0x2167, 0x2167, n},
        {0x2192, 0x2192, o},     {0x2212, 0x2212, o},   {0x2581, 0x2581, o},   {0x2603, 0x2603, o},
        {0x266F, 0x266F, o},     {0x3000, 0x3000, w},   {0x3001, 0x3002, o},   {0x306E, 0x306E, l},
        {0x30A2, 0x30A2, l},     {0x30A4, 0x30A4, l},   {0x30AD, 0x30AD, l},   {0x30AF, 0x30B0, l},
        {0x30B8, 0x30B9, l},     {0x30C0, 0x30C0, l},   {0x30C3, 0x30C3, l},   {0x30C6, 0x30C6, l},
        {0x30C8, 0x30CA, l},     {0x30D6, 0x30D6, l},   {0x30E9, 0x30E9, l},   {0x30EB, 0x30EB, l},
        {0x4E2D, 0x4E2D, l},     {0x4E3A, 0x4E3A, l},   {0x4F0A, 0x4F0A, l},   {0x50B3, 0x50B3, l},
        {0x516B, 0x516B, l},     {0x5229, 0x5229, l},   {0x524D, 0x524D, l},   {0x52E2, 0x52E2, l},
        {0x53F2, 0x53F2, l},     {0x578B, 0x578B, l},   {0x58EB, 0x58EB, l},   {0x5927, 0x5927, l},
        {0x5B66, 0x5B66, l},     {0x5B9D, 0x5B9D, l},   {0x5F00, 0x5F00, l},   {0x5F8B, 0x5F8B, l},
        {0x6210, 0x6210, l},     {0x6226, 0x6226, l},   {0x6587, 0x6587, l},   {0x65E5, 0x65E5, l},
        {0x6625, 0x6625, l},     {0x667A, 0x667A, l},   {0x671B, 0x671B, l},   {0x672C, 0x672C, l},
        {0x675C, 0x675C, l},     {0x6771, 0x6771, l},   {0x6C11, 0x6C11, l},   {0x738B, 0x738B, l},
        {0x752B, 0x752B, l},     {0x7530, 0x7530, l},   {0x7532, 0x7532, l},   {0x79D8, 0x79D8, l},
        {0x8056, 0x8056, l},     {0x8266, 0x8266, l},   {0x8655, 0x8655, l},   {0x885B, 0x885B, l},
        {0x89E3, 0x89E3, l},     {0x8A69, 0x8A69, l},   {0x8A9E, 0x8A9E, l},   {0x8D08, 0x8D08, l},
        {0x90B5, 0x90B5, l},     {0x90FD, 0x90FD, l},   {0x9244, 0x9244, l},   {0x96C6, 0x96C6, l},
        {0x9B6F, 0x9B6F, l},     {0xAD6D, 0xAD6D, l},   {0xC5B4, 0xC5B4, l},   {0xD55C, 0xD55C, l},
        {0xE000, 0xE000, o},     {0xFB01, 0xFB01, l},   {0xFE0F, 0xFE0F, o},   {0xFEFF, 0xFEFF, o},
        {0xFFFD, 0xFFFD, o},     {0x10437, 0x10437, l}, {0x1D49C, 0x1D49C, l}, {0x1F1E9, 0x1F1EA, o},
        {0x1F3FD, 0x1F3FD, o},   {0x1F44D, 0x1F44D, o}, {0x1F466, 0x1F467, o}, {0x1F469, 0x1F469, o},
        {0x10FFFF, 0x10FFFF, o},
    };
    for (const range& r : ranges)
      if (value >= r.first && value <= r.last) return r.what;
    throw std::out_of_range("the naive pre-tokenizer does not know U+" + std::to_string(value));
  }

  // Without the bytes that the vocabulary lacks, as Hugging Face leaves them out before anything merges.
  [[nodiscard]] std::vector<std::string> known(std::vector<std::string> characters) const {
    std::erase_if(characters, [&](const std::string& c) { return !vocabulary_.contains(c); });
    return characters;
  }

  // GPT-2's bytes_to_unicode, each byte a character of its alphabet.
  static std::vector<std::string> spelled(std::string_view word) {
    static const auto alphabet = [] {
      std::vector<unsigned> characters(256, 0);
      for (unsigned b = '!'; b <= '~'; ++b) characters[b] = b;
      for (unsigned b = 0xA1; b <= 0xAC; ++b) characters[b] = b;
      for (unsigned b = 0xAE; b <= 0xFF; ++b) characters[b] = b;
      unsigned more = 256;
      for (unsigned& c : characters)
        if (c == 0) c = more++;
      return characters;
    }();
    std::vector<std::string> result;
    for (const char c : word) {
      const unsigned value = alphabet[static_cast<unsigned char>(c)];
      std::string utf8;
      if (value >= 0x80) utf8 += static_cast<char>(0xC0 + value / 64);
      utf8 += static_cast<char>(value < 0x80 ? value : 0x80 + value % 64);
      result.push_back(utf8);
    }
    return result;
  }

  // As in GPT-2's encoder.py: the pair of the lowest rank merges wherever it is, from left to right; and again.
  [[nodiscard]] std::vector<std::string> merged(std::vector<std::string> pieces) const {
    while (true) {
      auto best = ranks_.end();
      for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
        const auto found = ranks_.find({pieces[i], pieces[i + 1]});
        if (found != ranks_.end() && (best == ranks_.end() || found->second < best->second)) best = found;
      }
      if (best == ranks_.end()) return pieces;
      std::vector<std::string> next;
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        const bool here =
            i + 1 < pieces.size() && pieces[i] == best->first.first && pieces[i + 1] == best->first.second;
        next.push_back(here ? pieces[i] + pieces[i + 1] : pieces[i]);
        if (here) ++i;
      }
      pieces = std::move(next);
    }
  }

  std::map<std::string, std::uint32_t> vocabulary_;
  std::map<std::pair<std::string, std::string>, std::size_t> ranks_;
};

}  // namespace zoqat::testing

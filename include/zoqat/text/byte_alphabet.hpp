// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/text/utf8_characters.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::text {

namespace detail {

// GPT-2's `bytes_to_unicode`: printable bytes of Latin-1 stand for themselves, the others, in order, for the
// characters from U+0100 on.
constexpr bool stands_for_itself(std::size_t byte) noexcept {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}
inline constexpr auto byte_characters = [] {
  std::array<char16_t, 256> characters{};
  char16_t next = 0x100;
  for (std::size_t b = 0; b != characters.size(); ++b)
    characters[b] = stands_for_itself(b) ? static_cast<char16_t>(b) : next++;
  return characters;
}();
inline constexpr std::size_t byte_character_end = 0x144;  // after the last of them
inline constexpr auto character_bytes = [] {
  std::array<std::optional<unsigned char>, byte_character_end> bytes{};
  for (std::size_t b = 0; b != byte_characters.size(); ++b) bytes[byte_characters[b]] = static_cast<unsigned char>(b);
  return bytes;
}();

}  // namespace detail

/// Appends the character that stands for a byte in the vocabularies of byte-level BPE, as UTF-8: 'Ġ' for a space.
inline void append_byte_character(std::string& text, unsigned char byte) {
  const unsigned character = detail::byte_characters[byte];
  if (character < 0x80) {
    text += static_cast<char>(character);
  } else {
    text += static_cast<char>(0xC0 | character >> 6);
    text += static_cast<char>(0x80 | (character & 0x3F));
  }
}

/// Appends the characters that stand for the bytes of `bytes`.
inline void append_spelling(std::string& text, std::string_view bytes) {
  for (const char c : bytes) append_byte_character(text, static_cast<unsigned char>(c));
}

/// Appends to `text` the bytes that the characters of `spelled` stand for; where one of them stands for none, appends
/// nothing and returns false.
[[nodiscard]] inline bool append_spelled_bytes(std::string& text, std::string_view spelled) {
  const std::size_t before = text.size();
  bool all = true;
  for_each_character(spelled, [&](std::string_view character) {
    const auto unit = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(character[i])); };
    std::size_t value = detail::byte_character_end;
    if (character.size() == 1 && unit(0) < 0x80) value = unit(0);
    if (character.size() == 2 && unit(0) >= 0xC2) value = (unit(0) & 0x3F) << 6 | (unit(1) & 0x3F);
    const auto byte = value < detail::byte_character_end ? detail::character_bytes[value] : std::nullopt;
    if (byte)
      text += static_cast<char>(*byte);
    else
      all = false;
  });
  if (!all) text.resize(before);
  return all;
}

}  // namespace zoqat::text

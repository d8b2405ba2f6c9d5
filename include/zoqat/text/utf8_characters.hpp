// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cstddef>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::text {

/// Calls `f(character)` for each UTF-8 character of `text` from left to right; the characters on end are the text,
/// whatever it is. A character is a byte and up to three continuation bytes after it, whatever the first byte is, so
/// that bytes that are no UTF-8 are characters too.
template <class F>
void for_each_character(std::string_view text, F&& f) {
  const auto continues = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xC0u) == 0x80u; };
  for (std::size_t begin = 0, end = 0; begin != text.size(); begin = end) {
    for (end = begin + 1; end != text.size() && end - begin < 4 && continues(end);) ++end;
    f(text.substr(begin, end - begin));
  }
}

}  // namespace zoqat::text

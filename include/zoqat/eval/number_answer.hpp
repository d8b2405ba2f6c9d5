// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::eval {

/// What stands for a text in which no number was found, as in lm-evaluation-harness.
inline constexpr std::string_view no_number = "[invalid]";

/// The number that a solution of GSM8K marks as its answer: a number behind "#### ", the first there is, as the
/// harness's filter "strict-match" finds it.
[[nodiscard]] inline std::string_view strict_number(std::string_view text) noexcept {
  constexpr std::string_view mark = "#### ";
  for (std::size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + 1)) {
    const std::string_view rest = text.substr(at + mark.size());
    const std::size_t sign = rest.starts_with('-') ? 1 : 0;
    const std::size_t end = std::min(rest.find_first_not_of("0123456789.,", sign), rest.size());
    if (end > sign) return rest.substr(0, end);
  }
  return no_number;
}

/// The last number of a text: what the pattern (-?[$0-9.,]{2,})|(-?[0-9]+) finds last, the harness's filter
/// "flexible-extract".
[[nodiscard]] inline std::string_view flexible_number(std::string_view text) noexcept {
  std::string_view last = no_number;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const std::size_t sign = rest.starts_with('-') ? 1 : 0;
    const std::size_t end = std::min(rest.find_first_not_of("$0123456789.,", sign), rest.size());
    const bool is_digit = end == sign + 1 && rest[sign] >= '0' && rest[sign] <= '9';
    if (end >= sign + 2 || is_digit) last = rest.substr(0, end);
    at += end >= sign + 2 || is_digit ? end : 1;
  }
  return last;
}

/// A number as the harness compares it: without commas, dollar signs and all up to the last "#### ", without a full
/// stop at its end, in lower case.
[[nodiscard]] inline std::string comparable_number(std::string_view text) {
  constexpr std::string_view mark = "#### ";
  std::string kept;
  for (const char c : text)
    if (c != ',' && c != '$') kept += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  if (const std::size_t at = kept.rfind(mark); at != kept.npos) kept.erase(0, at + mark.size());
  const std::size_t end = kept.ends_with('\n') ? kept.size() - 1 : kept.size();
  if (end > 0 && kept[end - 1] == '.') kept.erase(end - 1, 1);
  return kept;
}

}  // namespace zoqat::eval

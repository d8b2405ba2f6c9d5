// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>  // require

#include <charconv>
#include <string_view>
#include <system_error>

namespace zoqat::programs {

/// The number that argument `i` of a program is, or `otherwise` where there are fewer. Throws value_error, with what
/// it is for and what it is, for one that is no such number.
template <class Number>
[[nodiscard]] Number number_argument(int argc, char** argv, int i, std::string_view what, Number otherwise) {
  if (argc <= i) return otherwise;
  const std::string_view text = argv[i];
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  require(error == std::errc{} && end == text.data() + text.size(), "{}: '{}' is no number that it can be", what,
          text);
  return number;
}

/// Throws value_error for more arguments than a program takes, whose number counts its name.
inline void require_at_most(int argc, char** argv, int most) {
  require(argc <= most, "'{}': is one argument too many", argc > most ? argv[most] : "");
}

}  // namespace zoqat::programs

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <concepts>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI {

/// A number of things in a message: `fmt::format("{} rejected", plural(n, "step"))` is "1 step rejected" or "2 steps
/// rejected". The noun is in the singular; its plural ends in -s, or in -es after a hissing sound. It is formatted
/// where the message is, so an argument of `require` costs nothing unless it fails.
template <std::integral N>
struct plural {
  N count;
  std::string_view noun;

  constexpr plural(N n, std::string_view singular) noexcept : count(n), noun(singular) {}

  [[nodiscard]] constexpr std::string_view ending() const noexcept {
    if (count == N{1}) return "";
    const bool hisses = noun.ends_with('s') || noun.ends_with('x') || noun.ends_with("ch") || noun.ends_with("sh");
    return hisses ? "es" : "s";
  }
};

}  // namespace zoqat

namespace fmt {

template <class N>
struct formatter<zoqat::plural<N>> {
  static constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  template <class Context>
  static auto format(const zoqat::plural<N>& p, Context& context) {
    // A string on the way, since fmt/core.h alone can format to no iterator.
    const std::string text = fmt::format("{} {}{}", p.count, p.noun, p.ending());
    return std::copy(text.begin(), text.end(), context.out());
  }
};

}  // namespace fmt

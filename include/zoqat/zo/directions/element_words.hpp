// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::zo::detail {

/// The most elements that `for_each_element_words` gives at a time.
inline constexpr std::size_t words_at_a_time = 16 * packed_signs::superblock_words;

/// Calls f(i, count, words) for the parts [i, i + count) of [0, n): words[k] are the 32 random bits of element
/// first + i + k of a stream, a pure function of both and the same on every target. A stream has them for 2³⁴
/// elements.
///
/// The bits are those that a Rademacher direction of the same stream takes its signs from.
template <class Kernels, class F>
void for_each_element_words(rng::stream s, std::uint64_t first, std::size_t n, F&& f) noexcept {
  constexpr std::size_t superblock = packed_signs::superblock_words;
  assert(first + n <= std::uint64_t{1} << 34);
  alignas(alignment) std::array<std::uint32_t, words_at_a_time> words;
  for (std::size_t done = 0, count; done != n; done += count) {
    const std::uint64_t at = first + done;
    const auto skipped = static_cast<std::size_t>(at % superblock);
    count = std::min(n - done, words.size() - skipped);
    Kernels::rademacher_words(s, at / superblock, (skipped + count + superblock - 1) / superblock, words.data());
    f(done, count, static_cast<const std::uint32_t*>(words.data() + skipped));
  }
}

/// The stream of what a direction chooses besides the elements of its base, in the same tensor.
[[nodiscard]] constexpr rng::stream choices_of(rng::stream s) noexcept {
  s.use = rng::purpose::choice;
  return s;
}

/// The tensor in the counters of what a step chooses once for all tensors.
inline constexpr std::uint32_t no_tensor = 0xffffffffu;

/// Whether distributions that others are made of have the same settings, where they have any.
template <class Base>
[[nodiscard]] constexpr bool same_settings(const Base& a, const Base& b) noexcept {
  if constexpr (std::equality_comparable<Base>)
    return a == b;
  else
    return true;
}

/// "prefix base", made when the program is compiled.
template <const std::string_view& Prefix, class Base>
inline constexpr auto prefixed_name = [] {
  constexpr std::string_view base = Base::name();
  std::array<char, Prefix.size() + base.size() + 1> text{};
  std::ranges::copy(base, std::ranges::copy(Prefix, text.begin()).out);
  return text;
}();

}  // namespace zoqat::zo::detail

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI {

/// Consecutive elements of a direction all of whose elements are +1 or -1, as a bit each. Superblocks of 2048
/// elements lie one after the other, each as words[4][16]: element e of a superblock is bit 31 - e / 16 % 32 of
/// words[e / 512][e % 16], set for +1, so that a vector of words holds the signs of elements that are neighbors.
/// The run begins at element `first` of the first superblock, a multiple of `granularity`.
///
/// A run refers to whole superblocks, as many as its elements reach into. Null words: there is no direction.
struct packed_signs {
  const std::uint32_t* words = nullptr;
  std::size_t first = 0;

  static constexpr std::size_t granularity = 16, superblock = 2048, superblock_words = superblock / 32;

  /// Words of the superblocks that elements [first, first + n) of a direction reach into.
  [[nodiscard]] static constexpr std::size_t words_of(std::size_t first, std::size_t n) noexcept {
    return n == 0 ? 0 : ((first + n - 1) / superblock - first / superblock + 1) * superblock_words;
  }

  [[nodiscard]] explicit constexpr operator bool() const noexcept { return words != nullptr; }
  /// The run from its element i on, a multiple of `granularity`.
  [[nodiscard]] constexpr packed_signs from(std::size_t i) const noexcept { return {words, first + i}; }
  /// +1 or -1.
  [[nodiscard]] constexpr float operator[](std::size_t i) const noexcept {
    const std::size_t e = first + i, row = e / 512, bit = 31 - e / granularity % 32;
    return words[row * granularity + e % granularity] >> bit & 1 ? 1.0f : -1.0f;
  }
};

}  // namespace zoqat

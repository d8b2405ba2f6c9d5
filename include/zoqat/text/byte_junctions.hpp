// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <bitset>
#include <cstddef>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::text {

/// Where the pieces of a vocabulary can overlap a text. Two symbols can end up in one token only if some piece holds
/// the last byte of the one just before the first byte of the other; where none does, a text falls into stretches
/// that merge on their own.
class byte_junctions {
 public:
  /// Allows what `piece` holds.
  void allow_within(std::string_view piece) {
    for (std::size_t i = 1; i < piece.size(); ++i) allowed_.set(index(piece[i - 1], piece[i]));
  }
  /// Whether texts that are not empty may join.
  [[nodiscard]] bool allow(std::string_view left, std::string_view right) const noexcept {
    return allowed_[index(left.back(), right.front())];
  }

 private:
  static std::size_t index(char last, char first) noexcept {
    return static_cast<std::size_t>(static_cast<unsigned char>(last)) << 8 | static_cast<unsigned char>(first);
  }

  std::bitset<std::size_t{1} << 16> allowed_;
};

}  // namespace zoqat::text

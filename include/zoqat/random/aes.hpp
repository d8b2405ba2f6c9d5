// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/config.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

/// The rounds of AES (FIPS 197), as one of their instructions does them. In scalar code with tables: nothing for
/// secrets, whose values would show in the time it takes.
namespace zoqat::inline ZOQAT_ABI::rng::aes {

/// 16 bytes, four columns of four rows: a word is a column, its lowest byte the first row.
using block = std::array<std::uint32_t, 4>;

namespace detail {

/// The product with 2 in the field of 256 elements, polynomials modulo x^8 + x^4 + x^3 + x + 1.
[[nodiscard]] constexpr std::uint8_t twice(std::uint8_t a) noexcept {
  return static_cast<std::uint8_t>(a << 1 ^ (a >> 7) * 0x1b);
}

/// SubBytes: the inverse in the field (0 for 0), then an affine map of its bits.
[[nodiscard]] constexpr std::array<std::uint8_t, 256> make_substitution() noexcept {
  std::array<std::uint8_t, 256> powers{1};  // of 3, which are all elements but 0; the last is 1 again
  for (std::size_t i = 1; i != powers.size(); ++i)
    powers[i] = static_cast<std::uint8_t>(twice(powers[i - 1]) ^ powers[i - 1]);
  std::array<std::uint8_t, 256> box{0x63};
  for (std::size_t i = 0; i != 255; ++i) {
    const std::uint8_t inverse = powers[255 - i];
    box[powers[i]] = static_cast<std::uint8_t>(0x63 ^ inverse ^ std::rotl(inverse, 1) ^ std::rotl(inverse, 2) ^
                                               std::rotl(inverse, 3) ^ std::rotl(inverse, 4));
  }
  return box;
}
inline constexpr auto substitution = make_substitution();

/// MixColumns of a byte of the first row, substituted: the matrix's first column, (2, 1, 1, 3), times the byte. Those
/// of the other rows are rotations of it.
[[nodiscard]] constexpr std::array<std::uint32_t, 256> make_mixed() noexcept {
  std::array<std::uint32_t, 256> columns{};
  for (std::size_t i = 0; i != columns.size(); ++i) {
    const std::uint32_t once = substitution[i], two = twice(substitution[i]);
    columns[i] = two | once << 8 | once << 16 | (two ^ once) << 24;
  }
  return columns;
}
inline constexpr auto mixed = make_mixed();

/// The byte that ShiftRows brings to row `row` of column `column`.
[[nodiscard]] constexpr std::uint8_t shifted(const block& state, std::size_t column, std::size_t row) noexcept {
  return static_cast<std::uint8_t>(state[(column + row) % 4] >> (8 * row));
}

}  // namespace detail

/// SubBytes, ShiftRows, MixColumns and AddRoundKey.
[[nodiscard]] constexpr block round(const block& state, const block& key) noexcept {
  block out = key;
  for (std::size_t column = 0; column != 4; ++column)
    for (std::size_t row = 0; row != 4; ++row)
      out[column] ^= std::rotl(detail::mixed[detail::shifted(state, column, row)], 8 * static_cast<int>(row));
  return out;
}

/// The last round, which leaves out MixColumns.
[[nodiscard]] constexpr block last_round(const block& state, const block& key) noexcept {
  block out = key;
  for (std::size_t column = 0; column != 4; ++column)
    for (std::size_t row = 0; row != 4; ++row)
      out[column] ^= std::uint32_t{detail::substitution[detail::shifted(state, column, row)]} << (8 * row);
  return out;
}

}  // namespace zoqat::rng::aes

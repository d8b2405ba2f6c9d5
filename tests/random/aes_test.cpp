// SPDX-License-Identifier: Apache-2.0
#include <zoqat/random/aes.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <set>

using namespace zoqat::rng;

namespace {

/// Bytes as the standard writes them, four to a word: the first one is the highest.
constexpr aes::block block_of(aes::block written) {
  for (std::uint32_t& word : written) word = word << 24 | (word & 0xff00u) << 8 | (word >> 8 & 0xff00u) | word >> 24;
  return written;
}

/// The key of the round of AES-128 after the one of `key` (FIPS 197, section 5.2).
constexpr aes::block expand(aes::block key, std::uint8_t constant) {
  std::uint32_t last = 0;
  for (int i = 0; i != 4; ++i) last |= std::uint32_t{aes::detail::substitution[key[3] >> (8 * i) & 0xff]} << (8 * i);
  last = std::rotr(last, 8) ^ constant;
  for (std::uint32_t& word : key) last = word ^= last;
  return key;
}

constexpr aes::block aes128(aes::block state, aes::block key) {
  constexpr std::uint8_t constants[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36};
  for (std::size_t i = 0; i != 4; ++i) state[i] ^= key[i];
  for (std::size_t i = 0; i != 9; ++i) state = aes::round(state, key = expand(key, constants[i]));
  return aes::last_round(state, expand(key, constants[9]));
}

}  // namespace

// FIPS 197, appendix B: the state after the first round, and the cipher text.
static_assert(aes::round(block_of({0x193de3be, 0xa0f4e22b, 0x9ac68d2a, 0xe9f84808}),
                         block_of({0xa0fafe17, 0x88542cb1, 0x23a33939, 0x2a6c7605})) ==
              block_of({0xa49c7ff2, 0x689f352b, 0x6b5bea43, 0x026a5049}));
static_assert(aes128(block_of({0x3243f6a8, 0x885a308d, 0x313198a2, 0xe0370734}),
                     block_of({0x2b7e1516, 0x28aed2a6, 0xabf71588, 0x09cf4f3c})) ==
              block_of({0x3925841d, 0x02dc09fb, 0xdc118597, 0x196a0b32}));

TEST_CASE("the rounds make AES-128") {
  // FIPS 197, appendix C.1.
  CHECK(aes128(block_of({0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff}),
               block_of({0x00010203, 0x04050607, 0x08090a0b, 0x0c0d0e0f})) ==
        block_of({0x69c4e0d8, 0x6a7b0430, 0xd8cdb780, 0x70b4c55a}));
}

TEST_CASE("a byte has a substitute of its own, never itself") {
  std::set<std::uint8_t> substitutes;
  for (std::size_t i = 0; i != 256; ++i) {
    substitutes.insert(aes::detail::substitution[i]);
    CHECK(aes::detail::substitution[i] != i);
  }
  CHECK(substitutes.size() == 256);
}

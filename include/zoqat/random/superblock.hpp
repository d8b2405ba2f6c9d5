// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/ars.hpp>
#include <zoqat/random/philox.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace zoqat::inline ZOQAT_ABI::rng {

/// A direction's elements come in superblocks, each made from 16 consecutive blocks of its stream.
inline constexpr std::size_t superblock_lanes = 16;

/// The bits of a superblock, in rows from each of which come elements that are neighbors. Which word of which block
/// is where goes with the generator: where a vector that computes some of them has them, without a shuffle.
using superblock_words = std::array<std::array<std::uint32_t, superblock_lanes>, 4>;

/// The bits of superblock number `superblock` of the run; only its lower 28 bits count. Word w of block l is at
/// [w][l]: Philox computes up to 16 blocks side by side, a word of each to a vector.
[[nodiscard]] constexpr superblock_words words_of(const philox4x32_run& run, std::uint64_t superblock) noexcept {
  superblock_words words{};
  for (std::size_t lane = 0; lane != superblock_lanes; ++lane) {
    const auto bits = run(static_cast<std::uint32_t>(superblock * superblock_lanes + lane));
    for (std::size_t w = 0; w != words.size(); ++w) words[w][lane] = bits[w];
  }
  return words;
}

/// The words of a superblock of ARS. They lie in the order of the blocks, word w of block l at
/// [l / 4][l % 4 * 4 + w]: a vector holds whole blocks, up to four of them.
[[nodiscard]] constexpr superblock_words words_of(const ars4x32_run& run, std::uint64_t superblock) noexcept {
  superblock_words words{};
  for (std::size_t block = 0; block != superblock_lanes; ++block) {
    const auto bits = run(static_cast<std::uint32_t>(superblock * superblock_lanes + block));
    std::copy(bits.begin(), bits.end(), words[block / 4].data() + block % 4 * 4);
  }
  return words;
}

/// Writes elements [first, first + n) of a direction to out through calls of `emit(superblock, begin, end, to)`:
/// write units [begin, end), counted from the start of `superblock`, to `to`. A unit is the least number of
/// elements that the distribution writes at a time, a superblock `Units` of them. All whole superblocks come in one
/// call; ragged ends pass through a buffer on the stack.
template <std::size_t Unit, std::size_t Units, class Emit>
void for_each_superblock(std::uint64_t first, float* out, std::size_t n, const Emit& emit) noexcept {
  constexpr std::size_t size = Unit * Units;
  assert(n == 0 || (first + n - 1) / size < (std::uint64_t{1} << 32) / superblock_lanes);
  while (n != 0) {
    const auto offset = static_cast<std::size_t>(first % size);
    const std::size_t count = offset == 0 && n >= size ? n - n % size : std::min(n, size - offset);
    const std::size_t begin = offset / Unit, end = (offset + count + Unit - 1) / Unit;
    if (count == (end - begin) * Unit) {
      emit(first / size, begin, end, out);
    } else {
      alignas(64) float buffer[size];
      emit(first / size, begin, end, static_cast<float*>(buffer));
      std::memcpy(out, buffer + offset % Unit, count * sizeof(float));
    }
    first += count;
    out += count;
    n -= count;
  }
}

}  // namespace zoqat::rng

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/random/philox.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace zoqat::random {

/// A direction's elements come in superblocks, each made from 16 consecutive blocks of its stream. Element e of a
/// superblock comes from the superblock's block e % 16, so that a vector of up to 16 lanes that computes as many
/// blocks side by side has its elements where they belong, without a shuffle.
inline constexpr std::size_t superblock_lanes = 16;

/// The bits of a superblock: word w of block l at [w][l].
using superblock_words = std::array<std::array<std::uint32_t, superblock_lanes>, 4>;

/// The bits of superblock number `superblock` of the run; only its lower 28 bits count.
[[nodiscard]] constexpr superblock_words words_of(const philox4x32_run& run, std::uint64_t superblock) noexcept {
  superblock_words words{};
  for (std::size_t lane = 0; lane != superblock_lanes; ++lane) {
    const auto bits = run(static_cast<std::uint32_t>(superblock * superblock_lanes + lane));
    for (std::size_t w = 0; w != words.size(); ++w) words[w][lane] = bits[w];
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

}  // namespace zoqat::random

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/packed_signs.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/random/superblock.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI::rng {

/// A Rademacher superblock: 128 units of 16 elements, one for each bit of a block. Unit t is bit 31 - t % 32 of word
/// t / 32: a word is used up from its sign bit down, so that a vector kernel only ever doubles it.
inline constexpr std::size_t rademacher_unit = superblock_lanes, rademacher_units = 128;
static_assert(rademacher_unit == packed_signs::granularity &&
              rademacher_unit * rademacher_units == packed_signs::superblock);

/// The float bits of -1; their sign is flipped by a random bit that is set: 1 stands for +1, 0 for -1.
inline constexpr std::uint32_t minus_one = std::bit_cast<std::uint32_t>(-1.0f);

/// Elements [first, first + out.size()) of the stream as +1 or -1 with equal odds, one bit each. Element i is a
/// pure function of the stream and i, the same on every target. A stream holds 2^39 elements.
///
/// A Gaussian direction of the same stream is made from the same bits: where both are in use, each wants a stream
/// of its own.
inline void rademacher(stream s, std::uint64_t first, std::span<float> out) noexcept {
  const auto emit = [run = s.run()](std::uint64_t superblock, std::size_t begin, std::size_t end,
                                    float* to) noexcept {
    superblock_words words = words_of(run, superblock);
    for (std::size_t unit = begin; unit != end; ++unit) {
      if (unit != begin && unit % rademacher_units == 0) words = words_of(run, superblock + unit / rademacher_units);
      for (const std::uint32_t word : words[unit / 32 % 4])
        *to++ = std::bit_cast<float>(minus_one ^ ((word << (unit % 32)) & 0x80000000u));
    }
  };
  for_each_superblock<rademacher_unit, rademacher_units>(first, out.data(), out.size(), emit);
}

}  // namespace zoqat::rng

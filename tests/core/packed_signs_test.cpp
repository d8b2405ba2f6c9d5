// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/packed_signs.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;

TEST_CASE("a run of signs refers to the whole superblocks that its elements reach into") {
  CHECK(packed_signs::words_of(0, 0) == 0);
  CHECK(packed_signs::words_of(5000, 0) == 0);
  CHECK(packed_signs::words_of(0, 1) == 64);
  CHECK(packed_signs::words_of(0, 2048) == 64);
  CHECK(packed_signs::words_of(0, 2049) == 128);
  CHECK(packed_signs::words_of(2047, 1) == 64);
  CHECK(packed_signs::words_of(2047, 2) == 128);
  CHECK(packed_signs::words_of(4096, 2048) == 64);
  CHECK(packed_signs::words_of(4112, 2048) == 128);
}

TEST_CASE("every element has a bit of its own, where the layout puts it") {
  constexpr std::size_t superblocks = 2, elements = superblocks * packed_signs::superblock;
  std::vector<std::uint32_t> words(superblocks * packed_signs::superblock_words, 0);
  const packed_signs signs{words.data()};
  CHECK(static_cast<bool>(signs));
  std::size_t wrong = 0;
  for (std::size_t i = 0; i != elements; ++i) {
    const std::size_t e = i % 2048;
    std::uint32_t& word = words[i / 2048 * 64 + e / 512 * 16 + e % 16];
    REQUIRE(signs[i] == -1.0f);
    word = 1u << (31 - e / 16 % 32);
    wrong += signs[i] != 1.0f;
    for (std::size_t other = 0; other < elements; other += 1 + i % 7) wrong += other != i && signs[other] != -1.0f;
    word = 0;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a run of signs goes on from any multiple of the granularity") {
  std::vector<std::uint32_t> words(2 * packed_signs::superblock_words);
  std::uint32_t state = 1;
  for (std::uint32_t& word : words) word = state = state * 1664525u + 1013904223u;
  const packed_signs signs{words.data()};
  std::size_t wrong = 0;
  for (std::size_t from = 0; from != 2048; from += packed_signs::granularity)
    for (std::size_t i = 0; i != 2048; ++i) {
      wrong += signs.from(from)[i] != signs[from + i];
      wrong += packed_signs{words.data(), from}[i] != signs[from + i];
    }
  CHECK(wrong == 0);
}

TEST_CASE("without words there is no direction") { CHECK_FALSE(static_cast<bool>(packed_signs{})); }

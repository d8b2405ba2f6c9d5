// SPDX-License-Identifier: Apache-2.0
#include <zoqat/random/superblock.hpp>

#include <doctest/doctest.h>
#include <zoqat/random/stream.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;

namespace {

struct call {
  std::uint64_t superblock;
  std::size_t begin, end;
  friend bool operator==(const call&, const call&) = default;
};

// Superblocks of 3 units of 4 elements; the element's value is its number.
std::vector<call> check_range(std::uint64_t first, std::size_t n) {
  std::vector<float> out(n + 2, -1.0f);
  std::vector<call> calls;
  const auto emit = [&](std::uint64_t superblock, std::size_t begin, std::size_t end, float* to) {
    calls.push_back({superblock, begin, end});
    for (std::size_t i = begin * 4; i != end * 4; ++i) *to++ = static_cast<float>(superblock * 12 + i);
  };
  rng::for_each_superblock<4, 3>(first, out.data() + 1, n, emit);
  CHECK(out.front() == -1.0f);
  CHECK(out.back() == -1.0f);
  for (std::size_t i = 0; i != n; ++i) CHECK(out[i + 1] == static_cast<float>(first + i));
  return calls;
}

}  // namespace

TEST_CASE("every element is written once, from wherever the range starts and ends") {
  for (std::uint64_t first = 0; first != 30; ++first)
    for (std::size_t n = 0; n != 50; ++n) check_range(first, n);
}

TEST_CASE("whole superblocks come in one call, ragged ends with only the units that they touch") {
  CHECK(check_range(0, 0).empty());
  CHECK(check_range(24, 36) == std::vector<call>{{2, 0, 3 * 3}});
  CHECK(check_range(4, 4) == std::vector<call>{{0, 1, 2}});
  CHECK(check_range(11, 26) == std::vector<call>{{0, 2, 3}, {1, 0, 2 * 3}, {3, 0, 1}});
}

TEST_CASE("the words of a superblock are those of 16 consecutive blocks") {
  const rng::stream s{.seed = 5, .tensor = 6};
  for (const std::uint64_t superblock : {std::uint64_t{0}, std::uint64_t{9}, (std::uint64_t{1} << 28) - 1}) {
    const auto words = rng::words_of(s.run(), superblock), of_ars = rng::words_of(s.ars_run(), superblock);
    for (std::uint32_t block = 0; block != 16; ++block) {
      const std::uint32_t number = static_cast<std::uint32_t>(superblock) * 16 + block;
      const auto bits = s.bits(number), ars_bits = s.ars_run()(number);
      for (std::size_t w = 0; w != 4; ++w) {
        CHECK(words[w][block] == bits[w]);
        CHECK(of_ars[block / 4][block % 4 * 4 + w] == ars_bits[w]);
      }
    }
  }
}

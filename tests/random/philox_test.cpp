// SPDX-License-Identifier: Apache-2.0
#include <zoqat/random/philox.hpp>

#include <doctest/doctest.h>

#include <cstdint>

using zoqat::rng::philox4x32;
using zoqat::rng::philox4x32_run;

// The known answers of the authors' implementation (Random123: kat_vectors, philox4x32 with 10 rounds).
static_assert(philox4x32::generate({0, 0, 0, 0}, {0, 0}) ==
              philox4x32::counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox4x32::generate({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
              philox4x32::counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox4x32::generate({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              philox4x32::counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

TEST_CASE("the known answers hold at run time as well") {
  const philox4x32::counter digits{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
  const philox4x32::key key{0xa4093822, 0x299f31d0};
  CHECK(philox4x32::generate(digits, key) == philox4x32::counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a run is Philox, whatever the first word") {
  for (std::uint32_t i = 0; i != 1000; ++i) {
    // Philox itself supplies counters and keys without a pattern.
    const auto c = philox4x32::generate({i, 0, 0, 0}, {1, 2});
    const auto more = philox4x32::generate({i, 1, 0, 0}, {1, 2});
    const philox4x32::key key{more[0], more[1]};
    const philox4x32_run run({more[2], c[1], c[2], c[3]}, key);
    CHECK(run(c[0]) == philox4x32::generate(c, key));
    CHECK(run(0) == philox4x32::generate({0, c[1], c[2], c[3]}, key));
    CHECK(run(0xffffffffu) == philox4x32::generate({0xffffffffu, c[1], c[2], c[3]}, key));
  }
}

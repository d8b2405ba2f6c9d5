// SPDX-License-Identifier: Apache-2.0
#include <zoqat/random/stream.hpp>

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>

using namespace zoqat;
using rng::purpose;
using rng::stream;

static_assert(std::uniform_random_bit_generator<rng::engine>);

namespace {

constexpr stream base{.seed = 0x0123456789abcdef, .step = 7, .index = 3, .tensor = 11, .use = purpose::direction};

// `base` and the streams that differ from it in one field, the seed in either half.
const std::array<stream, 7> neighbors = [] {
  std::array<stream, 7> all;
  all.fill(base);
  all[1].seed += 1;
  all[2].seed += std::uint64_t{1} << 32;
  all[3].step += 1;
  all[4].index += 1;
  all[5].tensor += 1;
  all[6].use = purpose::rounding;
  return all;
}();

}  // namespace

TEST_CASE("the counter and the key have the documented layout") {
  CHECK(base.key() == rng::philox4x32::key{0x89abcdef, 0x01234567});
  CHECK(base.ars_key() == rng::ars4x32::key{0x89abcdef, 0x01234567, 0, 0});
  CHECK(base.counter(42) == rng::philox4x32::counter{42, 11, 7, 0x300});
  CHECK(stream{.index = 0xffffff, .use = purpose::sampling}.counter(0)[3] == 0xffffff03u);
}

TEST_CASE("a run of a stream gives its bits") {
  for (const std::uint32_t block : {0u, 1u, 0x80000000u, 0xffffffffu}) {
    CHECK(base.bits(block) == rng::philox4x32::generate(base.counter(block), base.key()));
    CHECK(base.run()(block) == base.bits(block));
    CHECK(base.ars_run()(block) == rng::ars4x32::generate(base.counter(block), base.ars_key()));
  }
}

TEST_CASE("streams that differ in any field share no bits") {
  for (std::size_t a = 0; a != neighbors.size(); ++a)
    for (std::size_t b = 0; b != a; ++b) {
      CAPTURE(a);
      CAPTURE(b);
      CHECK(neighbors[a] != neighbors[b]);
      int equal = 0;
      for (std::uint32_t block = 0; block != 1000; ++block) {
        const auto x = neighbors[a].bits(block), y = neighbors[b].bits(block);
        for (std::size_t w = 0; w != 4; ++w) equal += std::popcount(~(x[w] ^ y[w]));
      }
      CHECK(equal > 64000 - 5 * 179);  // 128000 fair coins: standard deviation 179
      CHECK(equal < 64000 + 5 * 179);
    }
}

TEST_CASE("an engine hands out the words of the blocks in order") {
  rng::engine draw(base);
  for (std::uint32_t block = 0; block != 3; ++block)
    for (const std::uint32_t word : base.bits(block)) CHECK(draw() == word);
}

TEST_CASE("below stays below and is uniform") {
  rng::engine draw({.seed = 1, .use = purpose::sampling});
  for (int i = 0; i != 100; ++i) CHECK(draw.below(1) == 0);

  constexpr int cells = 10, draws = 100000;
  std::array<int, cells> count{};
  for (int i = 0; i != draws; ++i) ++count.at(draw.below(cells));
  double chi_square = 0;
  for (const int c : count) chi_square += std::pow(c - draws / cells, 2) / (draws / cells);
  CHECK(chi_square < 21.7);  // 1 % at 9 degrees of freedom

  // Without rejection every other number below 3 * 2^30 would be a multiple of three.
  int multiples = 0;
  for (int i = 0; i != draws; ++i) {
    const std::uint32_t x = draw.below(0xc0000000u);
    REQUIRE(x < 0xc0000000u);
    multiples += x % 3 == 0;
  }
  CHECK(std::abs(multiples - draws / 3) < 4 * 149);
}

TEST_CASE("uniform is in [0, 1) with mean 1/2 and variance 1/12") {
  rng::engine draw({.seed = 2, .use = purpose::sampling});
  constexpr int draws = 100000;
  double sum = 0, squares = 0;
  for (int i = 0; i != draws; ++i) {
    const float x = draw.uniform();
    REQUIRE(x >= 0.0f);
    REQUIRE(x < 1.0f);
    sum += x;
    squares += double{x} * x;
  }
  const double mean = sum / draws;
  CHECK(mean == doctest::Approx(0.5).epsilon(0.01));
  CHECK(squares / draws - mean * mean == doctest::Approx(1.0 / 12).epsilon(0.02));
}

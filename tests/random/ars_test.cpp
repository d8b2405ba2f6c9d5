// SPDX-License-Identifier: Apache-2.0
#include <zoqat/random/ars.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <zoqat/random/stream.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using rng::ars4x32;
using rng::ars4x32_run;

// Known answers of the authors' implementation (Random123: old_kat_vectors, ars4x32 with 7 rounds). All 2,254 of them
// hold.
static_assert(ars4x32::generate({1, 0, 0, 0}, {1, 0, 0, 0}) ==
              ars4x32::counter{0x3523162b, 0xdc14d20c, 0x79184077, 0x72184193});
static_assert(ars4x32::generate({0, 0, 0, 0x80000000}, {0x100, 0, 0, 0}) ==
              ars4x32::counter{0xeb212ad6, 0xd1798ddd, 0x1cb1d3a2, 0x4faa492c});
static_assert(ars4x32::generate({0x886a3f24, 0xd308a385, 0x2e8a1913, 0x44737003}, {0, 0, 0, 0x80000000}) ==
              ars4x32::counter{0x31e3f0cc, 0x92d1e3cc, 0xa2fdaa6c, 0x902c741b});

namespace {

constexpr rng::stream base{.seed = 0x0123456789abcdef, .step = 7, .index = 3, .tensor = 11};

/// Counter and key of a stream's block: what a user of streams can reach.
struct input {
  ars4x32::counter counter;
  ars4x32::key key;

  [[nodiscard]] ars4x32::counter bits() const { return ars4x32::generate(counter, key); }
  /// The words of the counter, then those of the key that are not always zero.
  [[nodiscard]] std::uint32_t& word(std::size_t i) { return i < 4 ? counter[i] : key[i - 4]; }
};

/// The sum over all cells of (count - trials / 2)^2 / (trials / 4), in its standard deviations above its mean:
/// whether each cell counted a fair coin.
double unfairness(const std::vector<int>& counts, int trials) {
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - trials / 2.0) * (count - trials / 2.0) / (trials / 4.0);
  const auto cells = static_cast<double>(counts.size());
  return (chi_square - cells) / std::sqrt(2 * cells);
}
double worst_of(const std::vector<int>& counts, int trials) {
  double worst = 0;
  for (const int count : counts) worst = std::max(worst, std::abs(count - trials / 2.0) / std::sqrt(trials / 4.0));
  return worst;
}

void add_bits(const ars4x32::counter& bits, int* counts) {
  for (std::size_t i = 0; i != 128; ++i) counts[i] += static_cast<int>(bits[i / 32] >> (i % 32) & 1);
}
ars4x32::counter difference(const ars4x32::counter& a, const ars4x32::counter& b) { return ars4x32::add(a, b); }

}  // namespace

TEST_CASE("the known answers hold at run time as well") {
  const ars4x32::counter digits{0x886a3f24, 0xd308a385, 0x2e8a1913, 0x44737003};
  const ars4x32::key key{0x00010000, 0, 0, 0}, last{0, 0, 0, 0x80000000};
  CHECK(ars4x32::generate({1, 0, 0, 0}, key) == ars4x32::counter{0x89946751, 0xa8781167, 0xcec08928, 0x26e12d35});
  CHECK(ars4x32::generate(digits, last) == ars4x32::counter{0x31e3f0cc, 0x92d1e3cc, 0xa2fdaa6c, 0x902c741b});
}

TEST_CASE("a run is ARS, whatever the first word") {
  rng::engine draw({.seed = 1});
  for (int i = 0; i != 1000; ++i) {
    const ars4x32::counter c{draw(), draw(), draw(), draw()};
    const ars4x32::key key{draw(), draw(), draw(), draw()};
    const ars4x32_run run({draw(), c[1], c[2], c[3]}, key);
    CHECK(run(c[0]) == ars4x32::generate(c, key));
    CHECK(run(0) == ars4x32::generate({0, c[1], c[2], c[3]}, key));
    CHECK(run(0xffffffffu) == ars4x32::generate({0xffffffffu, c[1], c[2], c[3]}, key));
  }
}

TEST_CASE("every bit of counter and seed turns every bit of the output half of the time" *
          doctest::skip(zoqat::testing::is_slow_build)) {
  constexpr std::size_t inputs = 6 * 32, outputs = 128;
  constexpr int trials = 2000;
  std::vector<int> turned(inputs * outputs);
  for (int trial = 0; trial != trials; ++trial) {
    // As low in entropy as they come: every other block, all else fixed. No two of them differ in one bit, since that
    // would count their difference twice.
    const auto number = static_cast<std::uint32_t>(trial);
    input in{base.counter(2 * number + std::uint32_t{std::popcount(number) % 2 == 1}), base.ars_key()};
    const auto before = in.bits();
    for (std::size_t i = 0; i != inputs; ++i) {
      in.word(i / 32) ^= 1u << (i % 32);
      add_bits(difference(in.bits(), before), turned.data() + i * outputs);
      in.word(i / 32) ^= 1u << (i % 32);
    }
  }
  CHECK(std::abs(unfairness(turned, trials)) < 4);
  CHECK(worst_of(turned, trials) < 5.5);  // of 24,576 cells
}

TEST_CASE("neighboring blocks, tensors, steps, directions and seeds are independent, bit by bit" *
          doctest::skip(zoqat::testing::is_slow_build)) {
  // Each word of counter and seed counts up while all others stand still. A cell is a pair of bits, one of an output
  // and one of the next output: 128 x 128 cells.
  constexpr int trials = 4000;
  const std::uint32_t unit[] = {1, 1, 1, 0x100, 1, 1};
  for (std::size_t word = 0; word != 6; ++word) {
    CAPTURE(word);
    input in{base.counter(5), base.ars_key()};
    std::vector<int> ones(128), equal(128 * 128);
    auto last = in.bits();
    for (int trial = 0; trial != trials; ++trial) {
      in.word(word) += unit[word];
      const auto bits = in.bits();
      add_bits(bits, ones.data());
      auto turned = bits;
      for (std::size_t shift = 0; shift != 128; ++shift) {
        add_bits(difference(last, turned), equal.data() + 128 * shift);
        for (std::uint32_t& w : turned) w = std::rotl(w, 1);
        if (shift % 32 == 31) std::rotate(turned.begin(), turned.begin() + 1, turned.end());
      }
      last = bits;
    }
    CHECK(std::abs(unfairness(ones, trials)) < 4);
    CHECK(std::abs(unfairness(equal, trials)) < 4);
    CHECK(worst_of(equal, trials) < 5.5);
  }
}

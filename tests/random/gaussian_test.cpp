// SPDX-License-Identifier: Apache-2.0
#include <zoqat/random/gaussian.hpp>

#include <doctest/doctest.h>
#include <support/directions.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using generator = void (*)(rng::stream, std::uint64_t, std::span<float>) noexcept;
constexpr generator generators[] = {rng::gaussian, rng::gaussian_ars};

std::vector<float> generate(generator f, rng::stream s, std::uint64_t first, std::size_t n) {
  std::vector<float> out(n);
  f(s, first, out);
  return out;
}
std::vector<float> gaussian(rng::stream s, std::uint64_t first, std::size_t n) {
  return generate(rng::gaussian, s, first, n);
}

using golden_element = std::pair<std::uint64_t, std::uint32_t>;
void check_golden(generator f, std::span<const golden_element> golden, std::uint64_t hash) {
  for (const auto& [element, bits] : golden) {
    CAPTURE(element);
    CHECK(std::bit_cast<std::uint32_t>(generate(f, golden_stream, element, 1)[0]) == bits);
  }
  CHECK(hash_of(generate(f, golden_stream, golden_first, golden_size)) == hash);
}

// The word that stands for radius h < 2^16 and angle k < 2^14 in the first quadrant.
constexpr std::uint32_t word_of(std::uint32_t h, std::uint32_t k) { return h << 15 | k << 1; }

double radius_of(std::uint32_t h) { return std::sqrt(-2 * std::log((h + 0.5) / 65536)); }
double angle_of(std::uint32_t k) { return std::numbers::pi / 2 * (k + 0.5) / 16384; }

}  // namespace

TEST_CASE("the golden elements hold") {
  // Computed by a second implementation, in another language.
  constexpr golden_element philox[] = {
      {0, 0x3e979c66},   {1, 0xbdb2a1fb},    {17, 0x3f8e57dc},    {127, 0x3eb8a5b8},
      {128, 0xbea67a05}, {1000, 0x3ff095a7}, {99999, 0xc02f145e}, {(std::uint64_t{1} << 35) - 1, 0xbfe822a5}};
  check_golden(rng::gaussian, philox, golden_gaussian);
  constexpr golden_element ars[] = {
      {0, 0xbe730219},   {1, 0x3f788c09},    {17, 0xbfa0aead},    {127, 0x3f04802f},
      {128, 0x3f456120}, {1000, 0xbf55db0e}, {99999, 0xbefd8d57}, {(std::uint64_t{1} << 35) - 1, 0x3f3ab74d}};
  check_golden(rng::gaussian_ars, ars, golden_gaussian_ars);
}

TEST_CASE("the order of the elements is the documented one") {
  const auto all = gaussian(golden_stream, 0, 3 * 128);
  const auto of_ars = generate(rng::gaussian_ars, golden_stream, 0, 3 * 128);
  for (std::uint32_t i = 0; i != all.size(); ++i) {
    const std::uint32_t lane = i % 16, row = i % 128 / 32, block = 16 * (i / 128);
    const auto [cosine, sine] = rng::box_muller::of(golden_stream.bits(block + lane)[row]);
    CHECK(all[i] == (i % 32 < 16 ? cosine : sine));
    const auto ars_pair = rng::box_muller::of(golden_stream.ars_run()(block + 4 * row + lane / 4)[lane % 4]);
    CHECK(of_ars[i] == (i % 32 < 16 ? ars_pair.cosine : ars_pair.sine));
  }
}

TEST_CASE("an element does not depend on where the range starts or ends") {
  for (const generator f : generators) {
    const auto all = generate(f, golden_stream, 0, 1000);
    for (const std::size_t first : {0u, 1u, 16u, 127u, 128u, 129u, 300u})
      for (const std::size_t n : {0u, 1u, 15u, 127u, 128u, 129u, 500u, 700u}) {
        const auto part = generate(f, golden_stream, first, n);
        CHECK(std::equal(part.begin(), part.end(), all.begin() + static_cast<std::ptrdiff_t>(first)));
      }
  }
}

TEST_CASE("radii are those of Box and Muller") {
  double worst = 0;
  for (std::uint32_t h = 0; h != 65536; ++h) {
    const auto [cosine, sine] = rng::box_muller::of(word_of(h, 5000));
    const double square = double{cosine} * cosine + double{sine} * sine, expected = radius_of(h) * radius_of(h);
    worst = std::max(worst, std::abs(square - expected) / (1 + expected));
  }
  CHECK(worst < 3e-5);
}

TEST_CASE("angles are those of Box and Muller, in four quadrants that are mirror images") {
  double worst = 0;
  for (std::uint32_t k = 0; k != 16384; ++k) {
    const std::uint32_t word = word_of(20000, k);
    const auto [cosine, sine] = rng::box_muller::of(word);
    worst = std::max(worst, std::abs(cosine - radius_of(20000) * std::cos(angle_of(k))));
    worst = std::max(worst, std::abs(sine - radius_of(20000) * std::sin(angle_of(k))));
    REQUIRE(cosine > 0);
    REQUIRE(sine > 0);
    const auto left = rng::box_muller::of(word | 0x80000000u), below = rng::box_muller::of(word | 1u);
    REQUIRE(left.cosine == -cosine);
    REQUIRE(left.sine == sine);
    REQUIRE(below.cosine == cosine);
    REQUIRE(below.sine == -sine);
  }
  CHECK(worst < 3e-5);
}

TEST_CASE("over all words the moments are those of the normal distribution") {
  // A cosine or sine is a function of k times one of h, up to rounding: so are its moments.
  constexpr std::array powers{2, 4, 6};
  std::array<double, 3> radii{}, cosines{}, sines{};
  const float reference = rng::box_muller::of(word_of(30000, 3000)).cosine;
  for (std::uint32_t h = 0; h != 65536; ++h) {
    const auto [cosine, sine] = rng::box_muller::of(word_of(h, 3000));
    for (std::size_t i = 0; i != 3; ++i) radii[i] += std::pow(double{cosine} / reference, powers[i]) / 65536;
  }
  for (std::uint32_t k = 0; k != 16384; ++k) {
    const auto [cosine, sine] = rng::box_muller::of(word_of(30000, k));
    for (std::size_t i = 0; i != 3; ++i) {
      cosines[i] += std::pow(double{cosine}, powers[i]) / 16384;
      sines[i] += std::pow(double{sine}, powers[i]) / 16384;
    }
  }
  for (const auto& half : {cosines, sines}) {
    CHECK(std::abs(radii[0] * half[0] - 1) < 2e-7);
    CHECK(std::abs(radii[1] * half[1] - 3) < 2e-4);
    CHECK(std::abs(radii[2] * half[2] - 15) < 7e-3);
  }
}

TEST_CASE("directions of streams that differ in any field, or of the two generators, are uncorrelated") {
  constexpr std::size_t n = 100000;
  std::array<rng::stream, 6> streams;
  streams.fill(golden_stream);
  streams[1].seed += 1;
  streams[2].step += 1;
  streams[3].index += 1;
  streams[4].tensor += 1;
  streams[5].use = rng::purpose::data;
  std::vector<std::vector<float>> directions;
  for (const generator f : generators)
    for (const rng::stream& s : streams) directions.push_back(generate(f, s, 0, n));
  for (std::size_t a = 0; a != directions.size(); ++a)
    for (std::size_t b = 0; b != a; ++b) {
      const auto &x = directions[a], &y = directions[b];
      double product = 0, squares = 0;
      for (std::size_t i = 0; i != n; ++i) {
        product += double{x[i]} * y[i];
        squares += (double{x[i]} * x[i] - 1) * (double{y[i]} * y[i] - 1);
      }
      CAPTURE(a);
      CAPTURE(b);
      CHECK(std::abs(product) < 4 * std::sqrt(double{n}));
      CHECK(std::abs(squares) < 4 * 2 * std::sqrt(double{n}));
    }
}

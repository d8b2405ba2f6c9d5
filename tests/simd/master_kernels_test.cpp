// SPDX-License-Identifier: Apache-2.0
#include <simd/backends.hpp>

#include <bit>
#include <initializer_list>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

std::vector<std::uint16_t> noise(std::size_t n, std::uint32_t name) {
  std::vector<std::uint16_t> v(n);
  auto draw = generator(name);
  for (auto& x : v) x = static_cast<std::uint16_t>(draw());
  return v;
}
/// Numbers of all magnitudes, and those that are none.
std::vector<float> all_kinds(std::size_t n, std::uint32_t name) {
  constexpr float special[] = {0.0f,         -0.0f,     infinity,   -infinity,
                               not_a_number, 0x1p-149f, -0x1p-130f, 0x1.fffffep127f};
  std::vector<float> v(n);
  auto draw = generator(name);
  for (std::size_t i = 0; i != n; ++i) v[i] = i % 5 == 3 ? special[i / 5 % 8] : std::bit_cast<float>(draw());
  return v;
}
std::vector<std::uint16_t> bits_of(const std::vector<bf16>& v) {
  std::vector<std::uint16_t> bits;
  for (const bf16 x : v) bits.push_back(x.bits);
  return bits;
}
std::vector<std::uint16_t> bits_of(const std::vector<fp16>& v) {
  std::vector<std::uint16_t> bits;
  for (const fp16 x : v) bits.push_back(x.bits);
  return bits;
}
std::vector<std::uint32_t> bits_of(const std::vector<float>& v) {
  std::vector<std::uint32_t> bits;
  for (const float x : v) bits.push_back(std::bit_cast<std::uint32_t>(x));
  return bits;
}

}  // namespace

TEST_CASE_TEMPLATE("masters of fewer bits are those of the reference, bit for bit", K, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes) {
    const auto x = all_kinds(n, 1);
    const auto odds = noise(n, 2);
    std::vector<bf16> halves(n);
    guarded<bf16> narrowed(n);
    reference::narrow(x.data(), odds.data(), n, halves.data());
    K::narrow(x.data(), odds.data(), n, narrowed.data());
    CHECK(bits_of(narrowed.content()) == bits_of(halves));
    CHECK(narrowed.intact());

    std::vector<float> expected(n);
    guarded<float> wide(n);
    reference::widen(halves.data(), n, expected.data());
    K::widen(halves.data(), n, wide.data());
    CHECK(bits_of(wide.content()) == bits_of(expected));
    CHECK(wide.intact());

    for (const grid g : {grid{0.01f, 128}, grid{3e-38f, 128}, grid{1, 0}}) {
      auto values = floats(n, 3, g.scale * 150);  // some beyond the codes
      for (std::size_t i = 7; i < n; i += 31) values[i] = i % 2 ? not_a_number : -infinity;
      std::vector<std::uint8_t> codes(n);
      guarded<std::uint8_t> coded(n);
      reference::narrow(values.data(), odds.data(), n, g, codes.data());
      K::narrow(values.data(), odds.data(), n, g, coded.data());
      CHECK(coded.content() == codes);
      CHECK(coded.intact());
    }
  }
}

TEST_CASE_TEMPLATE("every number of fp16 is widened exactly, and narrowed to itself", K, ZOQAT_BACKENDS) {
  std::vector<fp16> all(1 << 16), back(all.size());
  for (std::size_t i = 0; i != all.size(); ++i) all[i].bits = static_cast<std::uint16_t>(i);
  std::vector<float> wide(all.size()), expected(all.size());
  reference::widen(all.data(), all.size(), expected.data());
  K::widen(all.data(), all.size(), wide.data());
  CHECK(bits_of(wide) == bits_of(expected));
  std::vector<fp16> same(all.size());
  reference::narrow(expected.data(), expected.size(), same.data());
  K::narrow(wide.data(), wide.size(), back.data());
  CHECK(bits_of(back) == bits_of(same));
  const auto odds = noise(all.size(), 9);
  std::vector<fp16> by_noise(all.size());
  K::narrow(wide.data(), odds.data(), wide.size(), by_noise.data());
  for (std::size_t i = 0; i != all.size(); ++i) {
    if ((i & 0x7fff) > 0x7c00) continue;  // NaN: quiet
    REQUIRE(back[i].bits == i);
    REQUIRE(by_noise[i].bits == i);
  }
}

TEST_CASE_TEMPLATE("masters in fp16 are those of the reference, bit for bit", K, ZOQAT_BACKENDS) {
  for (const std::size_t n : sizes)
    for (const int exponent : {0, -10, -14, -20, -26, 15, 17}) {
      auto x = exponent == 0 ? all_kinds(n, 4) : floats(n, 5, std::ldexp(1.0f, exponent));
      for (std::size_t i = 3; i < n; i += 11) x[i] = std::ldexp(static_cast<float>(2 * i + 1), -25);  // ties
      for (std::size_t i = 4; i < n; i += 13) x[i] = 1 + std::ldexp(static_cast<float>(2 * i + 1), -11);
      const auto odds = noise(n, 6);
      std::vector<fp16> expected(n);
      guarded<fp16> nearest(n), random(n);
      reference::narrow(x.data(), n, expected.data());
      K::narrow(x.data(), n, nearest.data());
      CHECK(bits_of(nearest.content()) == bits_of(expected));
      CHECK(nearest.intact());
      reference::narrow(x.data(), odds.data(), n, expected.data());
      K::narrow(x.data(), odds.data(), n, random.data());
      CHECK(bits_of(random.content()) == bits_of(expected));
      CHECK(random.intact());
    }
}

TEST_CASE("fp16 saturates where it is stored, and keeps what is no number") {
  const float beyond[] = {65519.0f, 65520.0f, -1e9f, 0x1.fffffep127f, -infinity, infinity, not_a_number};
  const std::uint16_t most[] = {0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff};
  fp16 nearest[7], random[7];
  reference::narrow(beyond, 7, nearest);
  reference::narrow(beyond, most, 7, random);
  const std::uint16_t expected[] = {0x7bff, 0x7bff, 0xfbff, 0x7bff, 0xfc00, 0x7c00, 0x7e00};
  for (std::size_t i = 0; i != 7; ++i) {
    CHECK(nearest[i].bits == expected[i]);
    CHECK(random[i].bits == expected[i]);
  }
}

TEST_CASE("every number of the noise once: the mean of what fp16 keeps is the number itself") {
  std::vector<std::uint16_t> odds(1 << 16);
  for (std::size_t i = 0; i != odds.size(); ++i) odds[i] = static_cast<std::uint16_t>(i);
  // The last two are subnormal: exact where the number is a multiple of 2^-40, within 2^-40 where it is not.
  for (const float x : {1.0001f, -0.3333333f, 6e-4f, 65500.1f, 0x1.8p-15f + 0x1p-30f, 1e-6f}) {
    const std::vector<float> same(odds.size(), x);
    std::vector<fp16> halves(odds.size());
    reference::narrow(same.data(), odds.data(), odds.size(), halves.data());
    double sum = 0;
    for (const fp16 h : halves) sum += double{static_cast<float>(h)};
    CHECK(std::abs(sum / 0x1p16 - double{x}) <= (std::abs(x) < 0x1p-14f ? 0x1p-40 : 0.0));
  }
}

TEST_CASE("every number of the noise once: the mean of what bf16 keeps is the number itself") {
  std::vector<std::uint16_t> odds(1 << 16);
  for (std::size_t i = 0; i != odds.size(); ++i) odds[i] = static_cast<std::uint16_t>(i);
  for (const float x : {1.00390625f, -0.3333333f, 1e-20f, 12345.678f, 0x1p-133f}) {
    const std::vector<float> same(odds.size(), x);
    std::vector<bf16> halves(odds.size());
    reference::narrow(same.data(), odds.data(), odds.size(), halves.data());
    double sum = 0;
    for (const bf16 h : halves) sum += double{static_cast<float>(h)};
    CHECK(sum / 0x1p16 == double{x});
  }
}

TEST_CASE("every number of the noise once: the mean of what codes keep is the number, within 2^-16 of a code") {
  std::vector<std::uint16_t> odds(1 << 16);
  for (std::size_t i = 0; i != odds.size(); ++i) odds[i] = static_cast<std::uint16_t>(i);
  constexpr grid g{0.25f, 128};
  for (const float x : {0.0f, 0.1f, -0.1f, 7.77f, -31.9f, 31.5f}) {
    const std::vector<float> same(odds.size(), x);
    std::vector<std::uint8_t> codes(odds.size());
    reference::narrow(same.data(), odds.data(), odds.size(), g, codes.data());
    double sum = 0;
    for (const std::uint8_t c : codes) sum += g.scale * (c - g.zero_point);
    CHECK(std::abs(sum / 0x1p16 - double{x}) <= 0.25 * 0x1p-16);
  }
}

TEST_CASE("a number that a format holds stays what it is, whatever the noise") {
  for (const std::uint16_t odds : std::initializer_list<std::uint16_t>{0, 1, 0x7fff, 0xffff}) {
    const float held[] = {0.0f, -0.0f, 1.5f, -0x1p-126f};
    for (const float x : held) {
      bf16 half;
      reference::narrow(&x, &odds, 1, &half);
      CHECK(std::bit_cast<std::uint32_t>(static_cast<float>(half)) == std::bit_cast<std::uint32_t>(x));
    }
    for (int code = 0; code != 256; ++code) {
      const float x = 0.5f * static_cast<float>(code - 128);
      std::uint8_t stored = 0;
      reference::narrow(&x, &odds, 1, grid{0.5f, 128}, &stored);
      CHECK(stored == code);
    }
  }
}

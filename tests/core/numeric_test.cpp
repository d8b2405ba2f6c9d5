// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/numeric.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

using namespace zoqat;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// What the formats mean by definition. The exponent of the infinities continues the finite numbers, so that the
// number after the greatest one has a place to round to.
struct half_format {
  using type = fp16;
  static constexpr std::uint16_t sign = 0x8000, infinite = 0x7c00;
  static double value(unsigned bits) {
    const unsigned exponent = bits >> 10, mantissa = bits & 0x3ffu;
    return exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, static_cast<int>(exponent) - 25);
  }
};
struct brain_format {
  using type = bf16;
  static constexpr std::uint16_t sign = 0x8000, infinite = 0x7f80;
  static double value(unsigned bits) {
    const unsigned exponent = bits >> 7, mantissa = bits & 0x7fu;
    return exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, static_cast<int>(exponent) - 134);
  }
};

template <class Format>
typename Format::type of_bits(unsigned bits) {
  typename Format::type x;
  x.bits = static_cast<std::uint16_t>(bits);
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("every number of the format widens to its value and comes back", Format, half_format,
                   brain_format) {
  unsigned wrong = 0;
  for (unsigned bits = 0; bits != Format::infinite; ++bits)
    for (const unsigned sign : {0u, unsigned{Format::sign}}) {
      const auto x = of_bits<Format>(bits | sign);
      const auto wide = static_cast<float>(x);
      wrong += std::abs(double{wide}) != Format::value(bits) || std::signbit(wide) != (sign != 0);
      wrong += typename Format::type(wide) != x;
    }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("infinities and NaN stay what they are", Format, half_format, brain_format) {
  using small = typename Format::type;
  CHECK(static_cast<float>(of_bits<Format>(Format::infinite)) == infinity);
  CHECK(static_cast<float>(of_bits<Format>(Format::infinite | Format::sign)) == -infinity);
  CHECK(small(infinity).bits == Format::infinite);
  CHECK(small(-infinity).bits == (Format::infinite | Format::sign));
  unsigned wrong = 0;
  for (unsigned bits = Format::infinite + 1u; bits != Format::sign; ++bits) {
    const auto wide = static_cast<float>(of_bits<Format>(bits));
    wrong += !std::isnan(wide) || !std::isnan(static_cast<float>(small(wide)));
  }
  CHECK(wrong == 0);
  // Payloads whose upper part is zero must not round to infinity.
  for (const std::uint32_t bits : {0x7f800001u, 0x7f801fffu, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    CAPTURE(bits);
    CHECK(std::isnan(static_cast<float>(small(std::bit_cast<float>(bits)))));
    CHECK(((small(std::bit_cast<float>(bits)).bits & Format::sign) != 0) == (bits >> 31 != 0));
  }
}

// Every interval between neighbors: its ends, its quarters, its middle and what lies beside them. Rounding is
// monotone, so that no other float can go anywhere else.
TEST_CASE_TEMPLATE("floats round to the nearest number of the format, ties to even", Format, half_format,
                   brain_format) {
  using small = typename Format::type;
  unsigned wrong = 0;
  for (unsigned low = 0; low != Format::infinite; ++low) {
    const unsigned high = low + 1, even = low % 2 == 0 ? low : high;
    const double from = Format::value(low), to = Format::value(high);
    const auto middle = static_cast<float>((from + to) / 2);
    REQUIRE(double{middle} == (from + to) / 2);
    const auto rounds = [&](float x, unsigned expected) {
      wrong += small(x).bits != expected || small(-x).bits != (expected | Format::sign);
    };
    rounds(static_cast<float>(from), low);
    rounds(std::nextafter(static_cast<float>(from), infinity), low);
    rounds(static_cast<float>(from * 0.75 + to * 0.25), low);
    rounds(std::nextafter(middle, 0.0f), low);
    rounds(middle, even);
    rounds(std::nextafter(middle, infinity), high);
    rounds(static_cast<float>(from * 0.25 + to * 0.75), high);
    rounds(std::nextafter(static_cast<float>(to), 0.0f), high);
  }
  CHECK(wrong == 0);
  CHECK(small(std::numeric_limits<float>::denorm_min()).bits == 0);
  CHECK(small(std::numeric_limits<float>::max()).bits == Format::infinite);
}

TEST_CASE("the ends of the formats") {
  CHECK(static_cast<float>(fp16(65504.0f)) == 65504.0f);
  CHECK(static_cast<float>(fp16(65519.996f)) == 65504.0f);
  CHECK(static_cast<float>(fp16(65520.0f)) == infinity);
  CHECK(fp16(0x1p-24f).bits == 1);
  CHECK(fp16(0x1p-25f).bits == 0);
  CHECK(fp16(0x1.000002p-25f).bits == 1);
  CHECK(fp16(-0x1p-26f).bits == 0x8000);
  CHECK(bf16(0x1p-133f).bits == 1);
  CHECK(bf16(1.0f).bits == 0x3f80);
  static_assert(static_cast<float>(fp16(0.333251953125f)) == 0.333251953125f && fp16().bits == 0 && bf16().bits == 0);
}

TEST_CASE("round_half_even") {
  for (const auto& [x, expected] : {std::pair{0.5f, 0.0f},
                                    {1.5f, 2.0f},
                                    {2.5f, 2.0f},
                                    {-0.5f, -0.0f},
                                    {-1.5f, -2.0f},
                                    {-2.5f, -2.0f},
                                    {0.49999997f, 0.0f},
                                    {0.50000006f, 1.0f},
                                    {4194303.5f, 4194304.0f},
                                    {8388609.0f, 8388609.0f},
                                    {1e30f, 1e30f},
                                    {infinity, infinity}}) {
    CAPTURE(x);
    CHECK(round_half_even(x) == expected);
    CHECK(std::signbit(round_half_even(x)) == std::signbit(expected));
  }
  CHECK(std::isnan(round_half_even(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("add_product rounds the product before the sum") {
  // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24, of which a float drops the last term. A fused operation keeps it. The
  // volatile keeps the compiler from doing it in advance.
  volatile float factor = 1 + 0x1p-12f, one = -1;
  const float x = factor;
  CHECK(add_product(one, x, x) == 0x1p-11f);
  CHECK(one + rounded(x * x) == 0x1p-11f);
  CHECK(std::fma(x, x, -1.0f) != 0x1p-11f);  // or else this test proves nothing
}

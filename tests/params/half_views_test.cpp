// SPDX-License-Identifier: Apache-2.0
#include <zoqat/params/half_views.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

using namespace zoqat;

static_assert(holds_fp16<std::uint16_t> && holds_fp16<fp16>);
static_assert(!holds_fp16<std::int16_t> && !holds_fp16<float> && !holds_fp16<char>);

TEST_CASE("a buffer of bits is seen where it lies, and written") {
  std::vector<std::uint16_t> bits{0x3c00, 0xc000, 0x0001};
  const auto halves = fp16_view(bits.data(), bits.size());
  REQUIRE(halves.size() == 3);
  CHECK(static_cast<float>(halves[0]) == 1.0f);
  CHECK(static_cast<float>(halves[1]) == -2.0f);
  CHECK(static_cast<float>(halves[2]) == 0x1p-24f);
  halves[0] = fp16(0.5f);
  CHECK(bits[0] == 0x3800);

  std::vector<std::uint16_t> others{0x3f80};
  CHECK(static_cast<float>(bf16_view(others.data(), 1)[0]) == 1.0f);
}

#ifdef __FLT16_MANT_DIG__
TEST_CASE("the compiler's own type of 16 bits is one") {
  static_assert(holds_fp16<_Float16>);
  std::vector<_Float16> values{static_cast<_Float16>(0.1f), static_cast<_Float16>(-3.0f)};
  const auto halves = fp16_view(values.data(), values.size());
  CHECK(halves[0] == fp16(0.1f));
  CHECK(static_cast<float>(halves[1]) == -3.0f);
}
#endif

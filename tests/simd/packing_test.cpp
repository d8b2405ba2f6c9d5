// SPDX-License-Identifier: Apache-2.0
#include <zoqat/simd/packing.hpp>

#include <simd/backends.hpp>

#include <utility>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

// Calls f with std::integral_constant 1 … 8.
template <class F>
void for_each_width(F f) {
  [&]<int... Bits>(std::integer_sequence<int, Bits...>) {
    (f(std::integral_constant<int, Bits + 1>{}), ...);
  }(std::make_integer_sequence<int, 8>{});
}

}  // namespace

TEST_CASE("the layout of a block is the documented one") {
  std::uint8_t codes[codes_per_block] = {};
  std::uint8_t block[12] = {};
  codes[0] = 0b110;   // low plane of two bits: byte 0 from bit 0; high plane of one bit: byte 8, bit 0
  codes[9] = 0b101;   // byte 1 from bit 2; byte 8 + 9 % 4, bit 9 / 4
  codes[31] = 0b111;  // byte 7 from bit 6; byte 11, bit 7
  pack_block<3>(codes, block);
  const std::uint8_t expected[12] = {0b10, 0b0100, 0, 0, 0, 0, 0, 0b11000000, 0b1, 0b100, 0, 0b10000000};
  for (int i = 0; i != 12; ++i) CHECK(block[i] == expected[i]);
}

TEST_CASE_TEMPLATE("pack gives the bytes of the reference", K, ZOQAT_BACKENDS) {
  for_each_width([](auto bits) {
    for (const std::size_t n : sizes) {
      const auto c = codes(n, bits, 1);
      std::vector<std::uint8_t> expected(packed_bytes(bits, n));
      guarded<std::uint8_t> bytes(expected.size());
      reference::pack<bits>(c.data(), n, expected.data());
      K::template pack<bits>(c.data(), n, bytes.data());
      CHECK(bytes.content() == expected);
      CHECK(bytes.intact());
    }
  });
}

TEST_CASE_TEMPLATE("unpack gives back what was packed", K, reference, ZOQAT_BACKENDS) {
  for_each_width([](auto bits) {
    for (const std::size_t n : sizes) {
      const auto c = codes(n, bits, 2);
      std::vector<std::uint8_t> bytes(packed_bytes(bits, n));
      guarded<std::uint8_t> out(n);
      reference::pack<bits>(c.data(), n, bytes.data());
      K::template unpack<bits>(bytes.data(), n, out.data());
      CHECK(out.content() == c);
      CHECK(out.intact());
    }
  });
}

TEST_CASE_TEMPLATE("the last block is filled up with zero codes", K, reference, ZOQAT_BACKENDS) {
  for_each_width([](auto bits) {
    const auto c = codes(33, bits, 3);
    std::vector<std::uint8_t> bytes(packed_bytes(bits, 33), 0xff), out(64, 0xff);
    K::template pack<bits>(c.data(), 33, bytes.data());
    K::template unpack<bits>(bytes.data(), 64, out.data());
    for (std::size_t i = 33; i != 64; ++i) CHECK(out[i] == 0);
  });
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/simd/packing.hpp>

#include <simd/backends.hpp>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

TEST_CASE("the layout of a block is the documented one") {
  std::uint8_t rows[block_rows * panel_row] = {};
  std::uint8_t block[192], expected[192] = {}, again[sizeof rows];
  rows[0] = 0b110;            // row 0: low plane of two bits, its row 0, bits 0 and 1; high plane, bit 0
  rows[3 * 64 + 5] = 0b101;   // row 3: the last field of the same row; high plane, bit 3
  rows[4 * 64 + 62] = 0b011;  // row 4: the first field of the next row
  rows[7 * 64 + 63] = 0b111;  // row 7: the last field of the next row; high plane, bit 7
  expected[0] = 0b10;
  expected[5] = 0b01'00'00'00;
  expected[64 + 62] = 0b11;
  expected[64 + 63] = 0b11'00'00'00;
  expected[128] = 0b1;
  expected[128 + 5] = 0b1000;
  expected[128 + 63] = 0b1000'0000;
  pack_block<3>(rows, block);
  for (int i = 0; i != 192; ++i) CHECK(block[i] == expected[i]);
  unpack_block<3>(block, again);
  for (std::size_t i = 0; i != sizeof rows; ++i) CHECK(again[i] == rows[i]);
}

TEST_CASE("a byte of four bits holds codes of neighboring rows, one of eight bits those of distant planes") {
  std::uint8_t rows[block_rows * panel_row] = {};
  std::uint8_t four[256], eight[512];
  rows[2 * 64 + 9] = 0x5;
  rows[3 * 64 + 9] = 0xa;
  pack_block<4>(rows, four);
  CHECK(four[64 + 9] == 0xa5);
  pack_block<8>(rows, eight);
  CHECK(eight[64 + 9] == 0xa5);
  CHECK(eight[256 + 64 + 9] == 0);
  rows[2 * 64 + 9] = 0x95;
  rows[3 * 64 + 9] = 0xfa;
  pack_block<8>(rows, eight);
  CHECK(eight[64 + 9] == 0xa5);
  CHECK(eight[256 + 64 + 9] == 0xf9);
}

TEST_CASE("the blocks of a panel cover its rows") {
  for (const std::size_t k : sizes) {
    std::size_t next = 0, total = 0;
    for_each_block(k, [&](std::size_t block, std::size_t rows) {
      CHECK(block == next++);
      CHECK(rows > 0);
      CHECK(rows <= block_rows);
      total += rows;
    });
    CHECK(next == (k + 31) / 32);
    CHECK(total == (k + 3) / 4);
  }
}

TEST_CASE_TEMPLATE("pack writes the blocks of the layout, filled up with zeros", K, reference, ZOQAT_BACKENDS) {
  for_each_width<1, 8>([](auto bits) {
    for (const std::size_t k : sizes) {
      const auto panel = code_panel(k, bits, 1);
      auto whole = panel;
      whole.resize((k + 31) / 32 * block_rows * panel_row);
      std::vector<std::uint8_t> expected(packed_panel_size(bits, k));
      for (std::size_t block = 0; block != (k + 31) / 32; ++block)
        pack_block<bits>(whole.data() + block * block_rows * panel_row,
                         expected.data() + block * sizeof(packed_block<bits>));
      guarded<std::uint8_t> bytes(expected.size());
      K::template pack<bits>(panel.data(), k, bytes.data());
      REQUIRE(bytes.content() == expected);
      REQUIRE(bytes.intact());
    }
  });
}

TEST_CASE_TEMPLATE("unpack gives back what was packed, less an offset of each column", K, reference, ZOQAT_BACKENDS) {
  for_each_width<1, 8>([](auto bits) {
    const auto offsets = codes(panel_width, 8, 2);
    for (const std::size_t k : sizes) {
      const auto panel = code_panel(k, bits, 3);
      std::vector<std::uint8_t> bytes(packed_panel_size(bits, k)), expected(panel);
      reference::pack<bits>(panel.data(), k, bytes.data());
      guarded<std::uint8_t> out(panel.size());
      K::template unpack<bits>(bytes.data(), k, nullptr, out.data());
      REQUIRE(out.content() == panel);
      for (std::size_t i = 0; i != expected.size(); ++i)
        expected[i] = static_cast<std::uint8_t>(expected[i] - offsets[i % 64 / 4]);  // what fills up words too
      K::template unpack<bits>(bytes.data(), k, offsets.data(), out.data());
      REQUIRE(out.content() == expected);
      REQUIRE(out.intact());
    }
  });
}

TEST_CASE_TEMPLATE("unpack takes the start of a deeper panel", K, reference, ZOQAT_BACKENDS) {
  for_each_width<1, 8>([](auto bits) {
    const auto panel = code_panel(130, bits, 4);
    std::vector<std::uint8_t> bytes(packed_panel_size(bits, 130));
    reference::pack<bits>(panel.data(), 130, bytes.data());
    for (std::size_t k = 0; k != 131; ++k) {
      guarded<std::uint8_t> out(code_panel_size(k));
      K::template unpack<bits>(bytes.data(), k, nullptr, out.data());
      REQUIRE(std::equal(panel.begin(), panel.begin() + static_cast<std::ptrdiff_t>(code_panel_size(k)), out.data()));
      REQUIRE(out.intact());
    }
  });
}

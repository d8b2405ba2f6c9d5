// SPDX-License-Identifier: Apache-2.0
#include <simd/backends.hpp>

// The oracle of the other tests, by hand: rows, quantization and storage. (Products are in gemm_test.cpp and
// gemv_test.cpp, weight rows in weight_rows_test.cpp, panels in panels_test.cpp, rotary embeddings in rows_test.cpp.)

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

TEST_CASE("the reference's quantizer by hand") {
  const float x[] = {-1, 0.25f, 0.75f, 2};
  const range r = reference::min_max(x, 4);
  CHECK(r.min == -1);
  CHECK(r.max == 2);
  std::uint8_t codes[4];
  const quantized_row row = reference::quantize_row(x, 4, 2, false, codes);  // scale 3 / 3, zero point 1
  CHECK(row.grid == grid{1, 1});
  CHECK(codes[0] == 0);
  CHECK(codes[1] == 1);
  CHECK(codes[2] == 2);
  CHECK(codes[3] == 3);
  CHECK(row.sum == 6);
  CHECK(reference::sum(codes, 3) == 3);
  float out[4];
  reference::dequantize(codes, 4, row.grid, out);
  CHECK(out[0] == -1);
  CHECK(out[1] == 0);
  CHECK(out[2] == 1);
  CHECK(out[3] == 2);
  const quantized_row symmetric = reference::quantize_row(x, 4, 3, true, codes);  // scale 2 / 3, zero point 4
  CHECK(symmetric.grid == grid{2.0f / 3, 4});
  CHECK(codes[0] == 2);  // -1.5 rounds to -2
  CHECK(codes[1] == 4);
  CHECK(codes[2] == 5);
  CHECK(codes[3] == 7);
}

TEST_CASE("the reference's storage by hand") {
  // 33 deep: two blocks of four bits. Row r of a panel has codes 4 r … 4 r + 3 of each column.
  std::vector<std::uint8_t> panel(code_panel_size(33)), bytes(packed_panel_size(4, 33), 0xff);
  panel[code_at(2, 1)] = 0x7;    // row 0: the low half of byte 9 of the first row of 64
  panel[code_at(2, 5)] = 0xb;    // row 1: the high half of the same byte
  panel[code_at(15, 31)] = 0xc;  // row 7: the high half of the last byte of the block
  panel[code_at(0, 32)] = 0x3;   // the next block
  reference::pack<4>(panel.data(), 33, bytes.data());
  std::vector<std::uint8_t> expected(bytes.size());
  expected[9] = 0xb7;
  expected[255] = 0xc0;
  expected[256] = 0x03;
  CHECK(bytes == expected);
  std::vector<std::uint8_t> again(panel.size(), 0xff);
  reference::unpack<4>(bytes.data(), 33, nullptr, again.data());
  CHECK(again == panel);
  std::uint8_t offsets[panel_width] = {};
  offsets[2] = 8;
  reference::unpack<4>(bytes.data(), 33, offsets, again.data());
  CHECK(again[code_at(2, 1)] == 0xff);
  CHECK(again[code_at(2, 5)] == 3);
  CHECK(again[code_at(2, 33)] == 0xf8);
  CHECK(again[code_at(15, 31)] == 0xc);
}

TEST_CASE("the reference's rows by hand") {
  const float x[] = {3, 4}, gain[] = {1, 2}, bias[] = {10, 20};
  float y[] = {3, 4};
  CHECK(reference::dot(x, gain, 2) == 11);
  reference::add(x, y, 2);
  CHECK(y[1] == 8);
  reference::multiply(x, y, 2);
  CHECK(y[0] == 18);
  CHECK(y[1] == 32);
  reference::rms_norm(x, gain, 12.5f, y, 2);  // mean of squares and epsilon: 12.5 + 12.5
  CHECK(y[0] == doctest::Approx(0.6));
  CHECK(y[1] == doctest::Approx(1.6));
  reference::layer_norm(x, gain, bias, 0.75f, y, 2);  // variance and epsilon: 0.25 + 0.75
  CHECK(y[0] == doctest::Approx(9.5));
  CHECK(y[1] == doctest::Approx(21.0));
  float z[] = {0, std::log(3.0f)};
  CHECK(reference::log_sum_exp(z, 2) == doctest::Approx(std::log(4.0)));
  reference::softmax(z, 2);
  CHECK(z[0] == doctest::Approx(0.25));
  CHECK(z[1] == doctest::Approx(0.75));
  float negative[] = {-1, 2};
  reference::relu(negative, 2);
  CHECK(negative[0] == 0);
  CHECK(negative[1] == 2);
}

TEST_CASE("the reference's activation functions at tabulated values") {
  const auto at_one = [](void (*f)(float*, std::size_t) noexcept) {
    float x = 1;
    f(&x, 1);
    return x;
  };
  CHECK(at_one(reference::silu) == doctest::Approx(0.7310585786).epsilon(1e-6));
  CHECK(at_one(reference::gelu_tanh) == doctest::Approx(0.8411919906).epsilon(1e-6));
  CHECK(at_one(reference::gelu_erf) == doctest::Approx(0.8413447461).epsilon(1e-6));
}

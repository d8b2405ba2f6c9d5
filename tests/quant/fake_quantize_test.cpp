// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/fake_quantize.hpp>

#include <doctest/doctest.h>
#include <quant/weights.hpp>
#include <support/errors.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::quant;
using namespace zoqat::quant::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

using plain = weight<3>;
using grouped = weight<4, group<32>>;
using whole = weight<4, per_tensor, symmetric>;
using even_halves = weight<3, group<32>, symmetric, clip::codes, fp16_scale>;
using sharing = weight<3, group<16>, signed_symmetric, clip::codes, shared_scale<31>>;
using with_minima = weight<5, group<32>, with_minimum, clip::codes, fp16_scale>;
using sharing_minima = weight<2, group<16>, with_minimum, clip::codes, shared_scale<15>>;
using ranged = weight<2, per_channel, asymmetric, clip::range>;

std::vector<std::uint32_t> bits_of(matrix_view<const float> m) {
  std::vector<std::uint32_t> bits;
  for (std::size_t r = 0; r != m.rows(); ++r)
    for (const float x : m.row(r)) bits.push_back(std::bit_cast<std::uint32_t>(x));
  return bits;
}

}  // namespace

TEST_CASE_TEMPLATE("fake-quantized weights are those of a packed matrix, bit for bit", Weight, plain, grouped, whole,
                   even_halves, sharing, ranged, with_minima, sharing_minima) {
  thread_pool threads(3);
  for (const auto& [rows, cols] : {std::pair<std::size_t, std::size_t>{1, 1}, {17, 33}, {70, 172}, {3, 70000}}) {
    auto w = weights(rows, cols, 1);
    w(0, 0) = 1e25f;  // its square is infinite, it is not
    const auto clipping = starting_clipping<Weight>(w, 0.8f, 0.9f);
    const auto expected = bits_of(dequantize(quantize<Weight>(w, clipping)));
    matrix<float> out(rows, cols);
    fake_quantize<Weight>(w, out, clipping);
    CHECK(bits_of(out) == expected);
    matrix<float> wide(rows, cols + 5, 7.0f);
    fake_quantize<Weight>(w, wide.view().col_block(0, cols), clipping, threads);
    CHECK(bits_of(wide.view().col_block(0, cols)) == expected);
    CHECK(wide(rows - 1, cols) == 7.0f);
    fake_quantize<Weight>(w.view(), clipping, threads);
    CHECK(bits_of(w) == expected);
  }
}

TEST_CASE_TEMPLATE("weights that are not finite are named, by both ways", Weight, plain, grouped, whole, sharing) {
  thread_pool threads(3);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    auto w = weights(70, 172, 4);
    const auto clipping = starting_clipping<Weight>(w, 0.8f, 0.9f);
    w(69, 171) = bad;
    matrix<float> out(70, 172);
    check_mentions(message_of<value_error>([&] { fake_quantize<Weight>(w, out, clipping, threads); }),
                   "fake_quantize", "(69, 171)");
    check_mentions(message_of<value_error>([&] { (void)quantize<Weight>(w, clipping); }), "quantize", "(69, 171)");
  }
}

TEST_CASE("shapes that do not fit are errors that give both") {
  auto w = weights(4, 6, 2);
  const auto failure = [&](std::size_t rows, std::size_t cols) {
    matrix<float> out(rows, cols);
    return message_of<value_error>([&] { fake_quantize<plain>(w, out); });
  };
  check_mentions(failure(4, 5), "[4, 6]", "[4, 5]");
  check_mentions(failure(3, 6), "[4, 6]", "[3, 6]");
  const std::vector<float> clipping(7), not_a_number(8, std::numeric_limits<float>::quiet_NaN());
  matrix<float> out(4, 6);
  check_mentions(message_of<value_error>([&] { fake_quantize<ranged>(w, out, clipping); }), "7 clipping parameters",
                 "[4, 6]", "8");
  check_mentions(message_of<value_error>([&] { fake_quantize<ranged>(w, out, not_a_number); }),
                 "clipping parameter 0 is nan");
  matrix<float> none(0, 6), also(0, 6);
  CHECK_NOTHROW(fake_quantize<plain>(none, also));
}

TEST_CASE("rows that overlap others than themselves are refused") {
  auto w = weights(8, 6, 3);
  check_mentions(
      message_of<value_error>([&] { fake_quantize<plain>(w.view().row_block(0, 6), w.view().row_block(1, 6)); }),
      "overlaps");
  CHECK_NOTHROW(fake_quantize<plain>(w.view().row_block(0, 4), w.view().row_block(4, 4)));
}

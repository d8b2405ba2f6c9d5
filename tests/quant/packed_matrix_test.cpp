// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/packed_matrix.hpp>

#include <doctest/doctest.h>
#include <quant/weights.hpp>
#include <support/errors.hpp>
#include <zoqat/simd/reference.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::quant;
using namespace zoqat::quant::testing;

namespace {

template <class Weight>
constexpr bool has_half_scale = std::is_same_v<typename Weight::scale_type, fp16>;

// A weight between the ends of its grid is at most half a step away, but for the rounding of x * (1 / scale). A grid
// whose ends are not quite those of the weights (a rounded scale, a factor of 0.9999, the rounding of a logarithm)
// misses the last weights by so much more.
template <class Weight>
double greatest_error() {
  using clipping = typename Weight::clipping;
  double shrunk = 2e-6;
  if (has_half_scale<Weight>) shrunk += 0x1p-11;
  if (std::is_same_v<clipping, clip::range>) shrunk += 1.1e-4;
  return 0.5 + 1e-4 + (1 << Weight::bits) * shrunk;
}

template <class Weight>
std::size_t expected_bytes(std::size_t rows, std::size_t cols) {
  const std::size_t size = Weight::group_size(cols), per_row = cols == 0 ? 0 : (cols + size - 1) / size;
  const std::size_t panels = (rows + 15) / 16;
  const std::size_t grids = Weight::whole_tensor ? (rows == 0 ? 0 : 1) : panels * 16 * per_row;
  return panels * ((cols + 31) / 32) * 64 * Weight::bits +
         grids * ((has_half_scale<Weight> ? 2 : 4) * (Weight::has_minima ? 2 : 1) +
                  (Weight::symmetric || Weight::has_minima ? 0 : 1));
}

// A quantized matrix taken apart: what follows is compiled once, not for every quantizer.
struct quantized_matrix {
  std::size_t group_size, bytes;
  matrix<float> meant;
  matrix<std::uint8_t> codes, again;  // again: the codes of `meant` on the same grids
  std::vector<simd::grid> grids;      // of the groups of one row after the other
};
template <class Weight>
quantized_matrix take_apart(const matrix<float>& w) {
  const auto packed = quantize<Weight>(w, starting_clipping<Weight>(w));
  quantized_matrix m{Weight::group_size(w.cols()), packed.bytes(),       dequantize(packed),
                     {w.rows(), w.cols()},         {w.rows(), w.cols()}, {}};
  for (std::size_t r = 0; r != w.rows(); ++r) {
    packed.codes(r, m.codes.row(r).data());
    for_each_group<Weight>(w.cols(), [&](std::size_t group, std::size_t first, std::size_t count) {
      m.grids.push_back(packed.grid(r, group));
      const code_grid all{m.grids.back(), 0, static_cast<std::uint8_t>((1 << Weight::bits) - 1)};
      quantize_on<Weight>(m.meant.row(r).subspan(first, count), all, m.again.row(r).data() + first);
    });
  }
  return m;
}

struct quantizer {
  int bits;
  bool symmetric;
  double greatest_error;
  std::size_t (*expected_bytes)(std::size_t rows, std::size_t cols);
  quantized_matrix (*quantize)(const matrix<float>& w);
};

void check_shape(const quantizer& q, std::size_t rows, std::size_t cols, std::uint32_t name) {
  CAPTURE(q.bits);
  CAPTURE(q.symmetric);
  CAPTURE(rows);
  CAPTURE(cols);
  const matrix<float> w = weights(rows, cols, name);
  const quantized_matrix m = q.quantize(w);
  const std::size_t groups = rows == 0 ? 0 : m.grids.size() / rows;
  double worst = 0;  // error in steps of its grid
  std::size_t moved_zeros = 0, wrong_values = 0;
  for (std::size_t r = 0; r != rows; ++r)
    for (std::size_t c = 0; c != cols; ++c) {
      const simd::grid g = m.grids[r * groups + c / m.group_size];
      worst = std::max(worst, std::abs(double{w(r, c)} - double{m.meant(r, c)}) / double{g.scale});
      moved_zeros += w(r, c) == 0 && m.meant(r, c) != 0;
      wrong_values += m.meant(r, c) != g.scale * static_cast<float>(int{m.codes(r, c)} - g.zero_point);
    }
  CHECK(worst <= q.greatest_error);
  CHECK(moved_zeros == 0);
  CHECK(wrong_values == 0);
  CHECK(std::ranges::equal(m.again.flat(), m.codes.flat()));
  CHECK(m.bytes == q.expected_bytes(rows, cols));
}

void check_shapes(const quantizer& q) {
  constexpr std::pair<std::size_t, std::size_t> shapes[] = {{0, 5},   {1, 1},  {3, 0},  {2, 33},
                                                            {3, 172}, {16, 5}, {17, 33}};
  std::uint32_t name = 0;
  for (const auto& [rows, cols] : shapes) check_shape(q, rows, cols, ++name);
}
constexpr auto check_quantization = []<class Weight>() {
  check_shapes(
      {Weight::bits, Weight::symmetric, greatest_error<Weight>(), expected_bytes<Weight>, take_apart<Weight>});
};

template <int Bits, class Granularity = per_channel, class Symmetry = asymmetric>
packed_matrix<weight<Bits, Granularity, Symmetry>> quantized(const matrix<float>& w) {
  return quantize<weight<Bits, Granularity, Symmetry>>(w);
}

std::vector<std::uint8_t> codes_of(const auto& packed, std::size_t row) {
  std::vector<std::uint8_t> codes(packed.cols());
  packed.codes(row, codes.data());
  return codes;
}

matrix<float> row_of(std::initializer_list<float> values) {
  matrix<float> m(1, values.size());
  std::copy(values.begin(), values.end(), m.data());
  return m;
}

}  // namespace

// --- Every kind of quantizer ---------------------------------------------------------------------------------------

// Error at most half a step, zero is zero, the codes come back, and the storage is as long as it should be.

#define ZOQAT_GRANULARITIES per_tensor, per_channel, group<1>, group<3>, group<32>, group<128>

TEST_CASE_TEMPLATE("asymmetric grids of the weights", Granularity, ZOQAT_GRANULARITIES) {
  for_widths<Granularity, asymmetric, clip::none, fp32_scale>(all_widths{}, check_quantization);
}
TEST_CASE_TEMPLATE("symmetric grids of the weights", Granularity, ZOQAT_GRANULARITIES) {
  for_widths<Granularity, symmetric, clip::none, fp32_scale>(all_widths{}, check_quantization);
}
TEST_CASE_TEMPLATE("grids with scales of half precision", Granularity, per_tensor, per_channel, group<3>) {
  for_widths<Granularity, asymmetric, clip::none, fp16_scale>(some_widths{}, check_quantization);
  for_widths<Granularity, symmetric, clip::none, fp16_scale>(some_widths{}, check_quantization);
}
TEST_CASE_TEMPLATE("grids at the start of learned clipping", Clipping, clip::range, clip::codes) {
  for_widths<per_tensor, asymmetric, Clipping, fp32_scale>(some_widths{}, check_quantization);
  for_widths<per_channel, symmetric, Clipping, fp16_scale>(some_widths{}, check_quantization);
  for_widths<group<3>, asymmetric, Clipping, fp16_scale>(some_widths{}, check_quantization);
  for_widths<group<128>, asymmetric, Clipping, fp32_scale>(all_widths{}, check_quantization);
}

// --- By hand -------------------------------------------------------------------------------------------------------

TEST_CASE("an asymmetric row by hand") {
  // Scale (2 + 1) / 3; ties go to even.
  const auto packed = quantized<2>(row_of({-1.0f, -0.5f, 0.0f, 0.5f, 1.5f, 2.0f}));
  CHECK(packed.grid(0, 0) == simd::grid{1.0f, 1});
  CHECK(codes_of(packed, 0) == std::vector<std::uint8_t>{0, 1, 1, 1, 3, 3});
}

TEST_CASE("a symmetric row by hand") {
  const auto up = quantized<3, per_channel, symmetric>(row_of({1.5f, -1.5f, 0.0f, 0.25f, 0.75f}));  // scale 1.5 / 3
  CHECK(up.grid(0, 0) == simd::grid{0.5f, 4});
  CHECK(codes_of(up, 0) == std::vector<std::uint8_t>{7, 1, 4, 4, 6});
  const auto down = quantized<3, per_channel, symmetric>(row_of({1.0f, -4.0f}));  // scale 4 / 4
  CHECK(down.grid(0, 0) == simd::grid{1.0f, 4});
  CHECK(codes_of(down, 0) == std::vector<std::uint8_t>{5, 0});
}

TEST_CASE("each group has the grid of its own weights, the short last one too") {
  const auto packed = quantized<2, group<3>>(row_of({0, 3, 1, 0, -30, -10, 300, 0}));
  CHECK(packed.groups() == 3);
  CHECK(packed.grid(0, 0) == simd::grid{1.0f, 0});
  CHECK(packed.grid(0, 1) == simd::grid{10.0f, 3});
  CHECK(packed.grid(0, 2) == simd::grid{100.0f, 0});
  CHECK(codes_of(packed, 0) == std::vector<std::uint8_t>{0, 3, 1, 3, 0, 2, 3, 0});
}

TEST_CASE("a per_tensor grid spans all rows and is stored once") {
  matrix<float> w(2, 2, 0.0f);
  w(0, 1) = 2;
  w(1, 0) = -1;
  const auto packed = quantized<2, per_tensor>(w);
  CHECK(packed.scales().size() == 1);
  CHECK(packed.grid(0, 0) == simd::grid{1.0f, 1});
  CHECK(packed.grid(1, 0) == packed.grid(0, 0));
  CHECK(codes_of(packed, 0) == std::vector<std::uint8_t>{1, 3});
  CHECK(codes_of(packed, 1) == std::vector<std::uint8_t>{0, 1});
}

// --- Rows that are out of the ordinary -----------------------------------------------------------------------------

TEST_CASE_TEMPLATE("constant rows keep their value", Symmetry, asymmetric, symmetric) {
  for (const float value : {0.0f, 1.0f, -1.0f, 0.3f, -7e-5f, 1e20f, -1e20f}) {
    CAPTURE(value);
    const matrix<float> w(1, 37, value);
    const matrix<float> meant = dequantize(quantized<4, per_channel, Symmetry>(w));
    // The value is an end of the grid: symmetric grids of 4 bits end at 7 and -8 steps.
    for (const float x : meant.flat()) CHECK(x == doctest::Approx(value).epsilon(1e-6));
  }
}

TEST_CASE("rows of one sign keep zero on their grid") {
  const auto negative = quantized<4>(row_of({-15.0f, -3.0f, -1.0f}));
  CHECK(negative.grid(0, 0) == simd::grid{1.0f, 15});
  CHECK(codes_of(negative, 0) == std::vector<std::uint8_t>{0, 12, 14});
  const auto positive = quantized<4>(row_of({15.0f, 3.0f, 1.0f}));
  CHECK(positive.grid(0, 0) == simd::grid{1.0f, 0});
  CHECK(codes_of(positive, 0) == std::vector<std::uint8_t>{15, 3, 1});
}

TEST_CASE_TEMPLATE("rows without extent become zero, in a grid that has a reciprocal", Weight, weight<2>, weight<8>,
                   weight<4, per_channel, symmetric>, weight<4, per_channel, asymmetric, clip::none, fp16_scale>) {
  for (const float value : {0.0f, -0.0f, 1e-30f, -1e-30f, 1e-45f}) {
    const matrix<float> w(2, 5, value);
    const auto packed = quantize<Weight>(w);
    CHECK(std::isnormal(packed.grid(1, 0).scale));
    CHECK(std::isnormal(1 / packed.grid(1, 0).scale));
    const matrix<float> meant = dequantize(packed);
    for (const float x : meant.flat()) CHECK(x == 0);
  }
}

TEST_CASE_TEMPLATE("rows beyond the widest grid are cut off", Weight, weight<2>, weight<8>,
                   weight<4, per_channel, symmetric>, weight<4, per_channel, asymmetric, clip::none, fp16_scale>) {
  constexpr float most = std::numeric_limits<float>::max();
  const auto packed = quantize<Weight>(row_of({-most, 0.0f, most, 1.0f}));
  const simd::grid g = packed.grid(0, 0);
  CHECK(std::isnormal(g.scale));
  CHECK(std::isnormal(1 / g.scale));
  CHECK(g.zero_point >= 0);
  CHECK(g.zero_point < 1 << Weight::bits);
  const matrix<float> meant = dequantize(packed);
  CHECK(meant(0, 0) <= 0);
  CHECK(meant(0, 2) >= 0);
  CHECK(meant(0, 2) > meant(0, 0));
  CHECK(meant(0, 1) == 0);
}

TEST_CASE("scales of half precision stay normal numbers of half precision") {
  using half = weight<4, per_channel, symmetric, clip::none, fp16_scale>;
  CHECK(quantize<half>(row_of({7e-9f})).grid(0, 0).scale == 0x1p-14f);
  CHECK(quantize<half>(row_of({7e9f})).grid(0, 0).scale == 65504.0f);
  CHECK(quantize<half>(row_of({7 * 0.1f})).grid(0, 0).scale == static_cast<float>(fp16(0.1f)));
}

TEST_CASE("the zero point fits the scale that is stored") {
  // 8 bits from -1 to 1e-3: the scale is rounded by up to 2^-11 of itself, 255 times of which is a part of a step.
  using half = weight<8, per_channel, asymmetric, clip::none, fp16_scale>;
  const matrix<float> w = row_of({-1.0f, -0.5f, 1e-3f, 0.0f});
  const auto packed = quantize<half>(w);
  const matrix<float> meant = dequantize(packed);
  const float scale = packed.grid(0, 0).scale;
  CHECK(scale == static_cast<float>(fp16(scale)));
  CHECK(packed.grid(0, 0).zero_point == static_cast<int>(std::nearbyint(1.0f / scale)));
  CHECK(std::abs(meant(0, 1) + 0.5f) <= scale / 2 * 1.0001f);
}

// --- Storage -------------------------------------------------------------------------------------------------------

TEST_CASE_TEMPLATE("rows that are set come back, and leave the others alone", Weight, weight<2>, weight<3, group<3>>,
                   weight<4, per_tensor>, weight<5, group<32>, symmetric>, weight<6>, weight<7>,
                   weight<8, group<128>, asymmetric, clip::none, fp16_scale>,
                   weight<4, group<32>, with_minimum, clip::none, fp16_scale>) {
  constexpr std::size_t rows = 35, cols = 172;
  packed_matrix<Weight> packed(rows, cols);
  const std::size_t groups = packed.groups();
  rng::engine draw({.seed = 31, .use = rng::purpose::data});
  matrix<std::uint8_t> codes(rows, cols);
  for (auto& code : codes.flat()) code = static_cast<std::uint8_t>(draw.below(1u << Weight::bits));
  std::vector<simd::grid> grids(rows * groups);
  for (auto& g : grids)  // scales that both formats hold
    g = {static_cast<float>(1 + draw.below(100)) / 64,
         Weight::symmetric ? 1 << (Weight::bits - 1) : static_cast<int>(draw.below(1u << Weight::bits))};
  if constexpr (Weight::has_minima)
    for (auto& g : grids) g.minimum = static_cast<float>(g.zero_point) / 8 - 1, g.zero_point = 0;
  if (Weight::whole_tensor) std::ranges::fill(grids, grids[0]);
  const auto set = [&](std::size_t first, std::size_t count) {
    packed.set_rows(first, codes.view().row_block(first, count), grids.data() + first * groups);
  };
  set(32, 3);
  CHECK(codes_of(packed, 0) == std::vector<std::uint8_t>(cols));
  CHECK(codes_of(packed, 31) == std::vector<std::uint8_t>(cols));
  set(0, 32);
  const auto check_rows = [&](const packed_matrix<Weight>& m) {
    for (std::size_t r = 0; r != rows; ++r) {
      CHECK(std::ranges::equal(codes_of(m, r), codes.row(r)));
      for (std::size_t g = 0; g != groups; ++g) CHECK(m.grid(r, g) == grids[r * groups + g]);
    }
  };
  check_rows(packed);
  CHECK(packed.bytes() == expected_bytes<Weight>(rows, cols));
  CHECK(packed.bytes() == packed.code_storage().size_bytes() + packed.scales().size_bytes() +
                              packed.zero_points().size_bytes() + packed.minima().size_bytes());

  // Any rows at once, beginning within a panel and ending in another, are the rows one by one.
  constexpr std::pair<std::size_t, std::size_t> blocks[] = {{0, 35}, {15, 2}, {7, 20}, {20, 0}, {34, 1}};
  for (const auto& [first, count] : blocks) {
    matrix<std::uint8_t> some(count, cols + 3);
    packed.read_rows(first, some.view().col_block(0, cols));
    for (std::size_t r = 0; r != count; ++r) CHECK(std::ranges::equal(some.row(r).first(cols), codes.row(first + r)));
  }

  // A copy of the storage is a copy of the matrix: this is what files hold.
  packed_matrix<Weight> copy(rows, cols);
  std::ranges::copy(std::as_const(packed).code_storage(), copy.code_storage().begin());
  std::ranges::copy(std::as_const(packed).scales(), copy.scales().begin());
  std::ranges::copy(std::as_const(packed).zero_points(), copy.zero_points().begin());
  std::ranges::copy(std::as_const(packed).minima(), copy.minima().begin());
  check_rows(copy);
}

TEST_CASE("panels are what the kernels read, filled up with zeros") {
  const matrix<float> w = weights(19, 45, 12);
  const auto packed = quantize<weight<3, group<32>>>(w);
  REQUIRE(packed.panels() == 2);
  REQUIRE(packed.panel_bytes() == 2 * 192);
  CHECK(packed.code_storage().size() == 2 * packed.panel_bytes());
  for (std::size_t p = 0; p != 2; ++p) {
    CHECK(packed.panel(p) == packed.code_storage().data() + p * packed.panel_bytes());
    std::vector<std::uint8_t> panel(simd::code_panel_size(64));  // all of the two blocks
    simd::reference::unpack<3>(packed.panel(p), 64, nullptr, panel.data());
    for (std::size_t j = 0; j != 16; ++j) {
      const std::size_t row = 16 * p + j;
      const auto codes = row < 19 ? codes_of(packed, row) : std::vector<std::uint8_t>();
      for (std::size_t k = 0; k != 64; ++k)
        CHECK(panel[k / 4 * 64 + j * 4 + k % 4] == (k < codes.size() ? codes[k] : 0));
    }
  }
  // Of grids, those of the rows of a panel are neighbors.
  REQUIRE(packed.scales().size() == 2 * 2 * 16);
  for (std::size_t row = 0; row != 19; ++row)
    for (std::size_t g = 0; g != 2; ++g) {
      const std::size_t at = (row / 16 * 2 + g) * 16 + row % 16;
      CHECK(packed.grid_index(row, g) == at);
      CHECK(packed.grid(row, g).scale == packed.scales()[at]);
      CHECK(packed.grid(row, g).zero_point == packed.zero_points()[at]);
    }
  CHECK(packed_matrix<weight<4>>(16, 32).panels() == 1);
  CHECK(packed_matrix<weight<4>>(5, 0).panel_bytes() == 0);
  CHECK(packed_matrix<weight<4>>(0, 32).panels() == 0);
}

TEST_CASE("nothing is stored but codes, scales and zero points") {
  CHECK(packed_matrix<weight<4>>(64, 128).bytes() == 64 * 64 + 64 * 5);
  CHECK(packed_matrix<weight<2, group<128>, asymmetric, clip::none, fp16_scale>>(64, 256).bytes() ==
        64 * 64 + 64 * 2 * 3);
  CHECK(packed_matrix<weight<3, group<32>, symmetric>>(2, 33).bytes() == 16 * 24 + 16 * 2 * 4);
  CHECK(packed_matrix<weight<8, per_tensor>>(17, 32).bytes() == 32 * 32 + 5);
  static_assert(packed_matrix<weight<4>>::bytes(64, 128) == 64 * 64 + 64 * 5);
  CHECK(packed_matrix<weight<4>>().bytes() == 0);
  CHECK(packed_matrix<weight<4>>().empty());
}

TEST_CASE("a matrix that nobody set is zero") {
  const packed_matrix<weight<4>> packed(2, 40);
  const matrix<float> meant = dequantize(packed);
  for (const float x : meant.flat()) CHECK(x == 0);
}

TEST_CASE("a row comes out as it does from the whole") {
  const auto packed = quantized<3, group<32>>(weights(20, 70, 9));
  const matrix<float> all = dequantize(packed);
  std::vector<float> row(70);
  for (std::size_t r = 0; r != 20; ++r) {
    dequantize_row(packed, r, row);
    CHECK(std::ranges::equal(row, all.row(r)));
  }
}

TEST_CASE("views with a stride quantize like what they show") {
  const matrix<float> w = weights(5, 40, 10);
  const auto part = w.view().col_block(3, 33).row_block(1, 3);
  matrix<float> copy(3, 33);
  for (std::size_t r = 0; r != 3; ++r) std::ranges::copy(part.row(r), copy.row(r).begin());
  CHECK(
      std::ranges::equal(dequantize(quantize<weight<4>>(part)).flat(), dequantize(quantize<weight<4>>(copy)).flat()));
}

TEST_CASE("another number of clipping parameters than the grids take is an error") {
  const matrix<float> w = weights(3, 64, 11);
  using clipped = weight<4, group<32>, asymmetric, clip::range>;
  const auto message = zoqat::testing::message_of<value_error>([&] { (void)quantize<clipped>(w); });
  zoqat::testing::check_mentions(message, "0 clipping parameters", "[3, 64]", "12");
  CHECK_THROWS_AS((void)quantize<clipped>(w, std::vector<float>(11)), value_error);
  CHECK_THROWS_AS((void)quantize<weight<4>>(w, std::vector<float>(1)), value_error);
  CHECK_NOTHROW((void)quantize<clipped>(w, std::vector<float>(12)));
  // No rows, no grids, no parameters.
  CHECK_NOTHROW((void)quantize<weight<4, per_tensor, asymmetric, clip::codes>>(matrix<float>(0, 8)));
}

TEST_CASE("rows that a packed matrix does not have are errors that give both shapes") {
  auto packed = quantize<weight<4>>(weights(20, 40, 9));
  const auto into = [&](std::size_t first, std::size_t rows, std::size_t cols) {
    matrix<float> out(rows, cols);
    return zoqat::testing::message_of<value_error>([&] { dequantize_rows(packed, first, out.view()); });
  };
  using zoqat::testing::check_mentions;
  check_mentions(into(0, 4, 39), "[0, 4) of 39", "[20, 40]");
  check_mentions(into(18, 3, 40), "[18, 21) of 40", "[20, 40]");
  check_mentions(into(21, 0, 40), "[21, 21) of 40", "[20, 40]");
  std::vector<float> narrow(39);
  CHECK_THROWS_AS(dequantize_row(packed, 0, std::span<float>(narrow)), value_error);
  matrix<std::uint8_t> codes(16, 40, 1);
  const std::vector<simd::grid> grids(16);
  CHECK_THROWS_AS(packed.read_rows(5, codes), value_error);
  CHECK_THROWS_AS(packed.set_rows(8, codes, grids.data()), value_error);
  CHECK_THROWS_AS(packed.set_rows(16, codes, grids.data()), value_error);
  CHECK_THROWS_AS(packed.set_rows(0, codes.view().row_block(0, 15), grids.data()), value_error);
}

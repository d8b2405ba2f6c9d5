// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear/weight_tile.hpp>

#include <doctest/doctest.h>
#include <quant/weights.hpp>
#include <support/random_model.hpp>
#include <zoqat/nn/linear/linear_input.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

// Grids of a whole row; of groups that blocks of 32 hold, with and without a ragged one at the end; of groups that
// they do not hold; and one for all. 70 inputs: two whole blocks and a part of one.
constexpr std::size_t in = 70, tokens = 4;
using kernels = simd::default_kernels;

template <class Weight>
using in_floats = scheme<Weight>;
template <class Weight>
using in_integers = scheme<Weight, activation<6>>;
template <class Weight>
using in_groups = scheme<Weight, activation<8, group<32>, symmetric, fp16_scale>>;

using held = weight<3, group<32>, asymmetric, clip::codes>;
using wide = weight<5, group<64>, symmetric, clip::none, fp16_scale>;
using straddling = weight<4, group<20>, asymmetric, clip::codes>;
using whole_row = weight<2, per_channel, asymmetric>;
using whole_tensor = weight<7, per_tensor, symmetric>;
using bytes = weight<8, group<32>, asymmetric>;
using eighths = weight<8, group<4>, asymmetric>;
using straddling_bytes = weight<8, group<9>, asymmetric>;
using with_minima = weight<4, group<32>, with_minimum, clip::none, fp16_scale>;
using wide_with_minima = weight<4, group<64>, with_minimum, clip::none, fp16_scale>;
using sixteenths = weight<2, group<16>, with_minimum, clip::none, shared_scale<15, 2>>;

#define ZOQAT_SCHEMES                                                                                          \
  in_floats<held>, in_floats<wide>, in_floats<straddling>, in_floats<whole_row>, in_floats<whole_tensor>,      \
      in_floats<bytes>, in_integers<held>, in_integers<wide>, in_integers<straddling>, in_integers<whole_row>, \
      in_integers<whole_tensor>, in_integers<bytes>, in_integers<straddling_bytes>, in_groups<held>,           \
      in_groups<wide>, in_groups<eighths>, in_floats<sixteenths>, in_groups<sixteenths>, in_groups<with_minima>

/// A packed matrix of two tiles, the second of which is ragged, and an input.
template <class Scheme>
struct problem {
  using weight = typename Scheme::weight_type;
  static constexpr bool integers = Scheme::quantizes_activations;
  using activation = typename Scheme::activation_type;
  using tile = nn::code_tile<weight, activation>;
  static constexpr std::size_t rows = nn::tile_width + 19;

  packed_matrix<weight> packed = [] {
    const matrix<float> w = quant::testing::weights(rows, in, 1);
    return quantize<weight>(w.view(), quant::testing::starting_clipping<weight>(w));
  }();
  matrix<float> x = random_matrix(tokens, in, 2, 2);
  nn::token_batch batch = [] {
    nn::token_batch one;
    one.add(std::vector<nn::token>(tokens));
    return one;
  }();
  nn::workspace work;
  sequential threads;
  nn::linear_input<Scheme> input{
      nn::forward_pass<kernels, inference_lane, sequential>{at_masters, threads, batch, work}, x, {}};

  /// Writes row `from` of the matrix to a tile as a forward pass over masters would.
  void write_row(tile& to, std::size_t lane, std::size_t row, std::size_t from) const {
    std::vector<std::uint8_t> codes(in);
    packed.codes(from, codes.data());
    for_each_group<weight>(in, [&](std::size_t group, std::size_t first, std::size_t count) {
      const simd::grid g = to.grid(lane, row, group) = packed.grid(from, group);
      for (std::size_t i = first; i != first + count; ++i)
        to.codes(lane, row)[i] = static_cast<std::uint8_t>(codes[i] - tile::offset(g.zero_point));
    });
    take_sums(to, lane, row, from, codes);
  }
  void take_sums(tile& to, std::size_t lane, std::size_t row, std::size_t from,
                 std::span<const std::uint8_t> codes) const {
    for_each_part<weight, activation>(in, [&](const product_part& part) {
      to.sum(lane, row, part.index) = sum_of(codes.subspan(part.first, part.count), packed.grid(from, part.weights));
    });
  }
  /// Lane l holds rows [firsts[l], firsts[l] + count).
  void take_rows(tile& to, std::size_t count, std::span<const std::size_t> firsts) const {
    to.reset(firsts.size(), count, in);
    for (std::size_t panel = 0; panel != to.panels(); ++panel) {
      const std::size_t begin = panel * simd::panel_width, end = begin + to.panel_rows(panel);
      for (std::size_t row = begin; row != end; ++row)
        for (std::size_t lane = 0; lane != firsts.size(); ++lane) write_row(to, lane, row, firsts[lane] + row);
      to.template pack_panels<kernels>(panel);
    }
  }
  void take_packed(tile& to, std::size_t count, std::size_t first) const {
    to.reset(1, count, in);
    std::vector<std::uint8_t> codes(in);
    for (std::size_t row = 0; row != count; ++row) {
      packed.codes(first + row, codes.data());
      take_sums(to, 0, row, first + row, codes);
    }
    to.template load_packed<kernels>(packed, first);
  }
  static std::int32_t sum_of(std::span<const std::uint8_t> codes, const simd::grid& g) {
    return std::accumulate(codes.begin(), codes.end(),
                           -static_cast<std::int32_t>(codes.size()) * tile::offset(g.zero_point));
  }

  /// The product of a tile and tokens [row, row + to.rows()) of the input.
  void multiply(tile& of, std::size_t row, std::size_t lane, nn::epilogue finish, matrix_view<float> to) const {
    if constexpr (integers)
      of.template multiply_codes<kernels>(input, row, lane, finish, to, {});
    else
      of.template multiply_values<kernels>(input, row, to.rows(), lane, finish, to);
  }
  [[nodiscard]] double input_value(std::size_t m, std::size_t k) const {
    if constexpr (integers) {
      const simd::grid& g = input.grids(k / activation::group_size(in), m);
      return double{g.scale} * (input.codes(m, k) - g.zero_point);
    } else {
      return double{x(m, k)};
    }
  }
  /// Compares products with matrix rows [first, first + found.cols()) with sums in double.
  void check(matrix_view<const float> found, std::size_t row, std::size_t first, double start = 0) const {
    double worst = 0;
    std::vector<std::uint8_t> codes(in);
    for (std::size_t j = 0; j != found.cols(); ++j) {
      packed.codes(first + j, codes.data());
      for (std::size_t m = 0; m != found.rows(); ++m) {
        double sum = start, terms = std::abs(start);
        for_each_group<weight>(in, [&](std::size_t group, std::size_t k, std::size_t count) {
          const simd::grid g = packed.grid(first + j, group);
          for (std::size_t i = k; i != k + count; ++i) {
            // The size of the terms is that of codes before their zero points, or minima, are taken off.
            const double input_of = input_value(row + m, i);
            sum += input_of * (double{g.scale} * (codes[i] - g.zero_point) - double{g.minimum});
            terms += std::abs(input_of) * (double{g.scale} * (codes[i] + g.zero_point) + double{g.minimum});
          }
        });
        worst = std::max(worst, std::abs(double{found(m, j)} - sum) / (terms + 1e-30));
      }
    }
    CHECK(worst < 2 * (in + 4) * 0x1p-24);
  }
};

/// Calls f(first, count) for tiles of the matrix, the ragged one and parts of tiles too: larger and smaller by turns,
/// since a tile is used over and over.
template <class F>
void for_each_tile(F&& f) {
  f(std::size_t{0}, nn::tile_width);
  f(nn::tile_width, std::size_t{19});
  f(std::size_t{0}, std::size_t{1});
  f(nn::tile_width, simd::panel_width);
  f(std::size_t{0}, nn::tile_width - 1);
}

}  // namespace

TEST_CASE_TEMPLATE("rows and packed storage lead to the same products, those of dequantized weights", Scheme,
                   ZOQAT_SCHEMES) {
  const problem<Scheme> p;
  typename problem<Scheme>::tile from_rows, from_packed;
  for_each_tile([&](std::size_t first, std::size_t count) {
    CAPTURE(first);
    CAPTURE(count);
    matrix<float> rows(tokens, count), packed(tokens, count);
    p.take_rows(from_rows, count, {&first, 1});
    p.multiply(from_rows, 0, 0, {}, rows);
    p.take_packed(from_packed, count, first);
    p.multiply(from_packed, 0, 0, {}, packed);
    CHECK(std::ranges::equal(rows.flat(), packed.flat()));
    p.check(rows, 0, first);
    std::swap(from_rows, from_packed);  // nothing of a tile may be left in the next
  });
}

TEST_CASE_TEMPLATE("a product starts from itself and a bias, at any token, and writes no other column", Scheme,
                   in_floats<held>, in_floats<straddling>, in_integers<held>, in_integers<straddling_bytes>) {
  const problem<Scheme> p;
  typename problem<Scheme>::tile tile;
  p.take_packed(tile, 19, nn::tile_width);
  const std::vector<float> bias(19, 0.75f);
  for (const bool accumulate : {false, true}) {
    matrix<float> wide(2, 25, 3.0f);
    p.multiply(tile, 1, 0, {bias.data(), accumulate}, wide.view().col_block(4, 19));
    p.check(wide.view().col_block(4, 19), 1, nn::tile_width, accumulate ? 3.75 : 0.75);
    for (std::size_t m = 0; m != 2; ++m)
      for (const std::size_t j : {0u, 3u, 23u, 24u}) CHECK(wide(m, j) == 3);
  }
}

TEST_CASE_TEMPLATE("each lane has codes of its own", Scheme, in_floats<held>, in_floats<straddling>,
                   in_integers<held>, in_integers<straddling>, in_integers<whole_row>) {
  const problem<Scheme> p;
  typename problem<Scheme>::tile tile;
  constexpr std::size_t count = 18;
  constexpr std::array<std::size_t, 2> firsts{0, 30};
  p.take_rows(tile, count, firsts);
  for (const std::size_t lane : {1u, 0u}) {
    matrix<float> product(tokens, count);
    p.multiply(tile, 0, lane, {}, product);
    p.check(product, 0, firsts[lane]);
  }
}

TEST_CASE_TEMPLATE("for few tokens weights are multiplied as they are packed, whether they were or not", Scheme,
                   in_floats<held>, in_floats<wide>, in_floats<whole_row>, in_floats<whole_tensor>, in_floats<bytes>,
                   in_floats<with_minima>) {
  static_assert(tokens <= nn::few_tokens);
  const problem<Scheme> p;
  typename problem<Scheme>::tile from_rows, from_packed;
  for_each_tile([&](std::size_t first, std::size_t count) {
    CAPTURE(first);
    CAPTURE(count);
    const std::vector<float> bias(count, -0.5f);
    for (const std::size_t row : {0u, 3u}) {
      matrix<float> rows(tokens - row, count, 2.0f), packed = rows;
      p.take_rows(from_rows, count, {&first, 1});
      REQUIRE(from_rows.blocks_hold_groups());
      from_rows.template multiply_packed<kernels>(p.input, row, 0, {bias.data(), true}, rows);
      p.take_packed(from_packed, count, first);
      from_packed.template multiply_packed<kernels>(p.input, row, 0, {bias.data(), true}, packed);
      CHECK(std::ranges::equal(rows.flat(), packed.flat()));
      p.check(rows, row, first, 1.5);
    }
  });
}

TEST_CASE_TEMPLATE("for few tokens codes are multiplied as they are packed: the same bits", Scheme, in_integers<held>,
                   in_integers<wide>, in_integers<whole_row>, in_integers<whole_tensor>, in_integers<bytes>,
                   in_groups<held>, in_groups<wide>, in_groups<sixteenths>, in_groups<with_minima>,
                   in_groups<wide_with_minima>) {
  const problem<Scheme> p;
  typename problem<Scheme>::tile tile;
  for_each_tile([&](std::size_t first, std::size_t count) {
    CAPTURE(first);
    CAPTURE(count);
    const std::vector<float> bias(count, -0.5f);
    for (const std::size_t row : {0u, 3u}) {
      matrix<float> unpacked(tokens - row, count, 2.0f), packed = unpacked;
      p.take_packed(tile, count, first);
      REQUIRE(tile.multiplies_packed_codes(nn::few_tokens));
      REQUIRE_FALSE(tile.multiplies_packed_codes(nn::few_tokens + 1));
      tile.template multiply_packed_codes<kernels>(p.input, row, {bias.data(), true}, packed);
      tile.template multiply_codes<kernels>(p.input, row, 0, {bias.data(), true}, unpacked, {});
      CHECK(std::ranges::equal(packed.flat(), unpacked.flat()));
    }
  });
}

TEST_CASE("codes are unpacked where parts straddle blocks, and where inputs are too far from their zero points") {
  const auto packed_codes = []<class Scheme>() {
    const problem<Scheme> p;
    typename problem<Scheme>::tile tile;
    p.take_packed(tile, 1, 0);
    return tile.multiplies_packed_codes(1);
  };
  CHECK_FALSE(packed_codes.operator()<in_groups<eighths>>());
  CHECK_FALSE(packed_codes.operator()<scheme<held, activation<8>>>());
  CHECK(packed_codes.operator()<in_groups<held>>());
}

TEST_CASE("blocks hold groups of a multiple of their depth, and a group that is alone") {
  const auto held_by_blocks = []<class Weight>(std::size_t depth) {
    nn::code_tile<Weight, activation<6>> tile;
    tile.reset(1, 1, depth);
    return tile.blocks_hold_groups();
  };
  CHECK(held_by_blocks.operator()<held>(70));
  CHECK(held_by_blocks.operator()<wide>(70));
  CHECK(held_by_blocks.operator()<whole_row>(70));
  CHECK(held_by_blocks.operator()<whole_tensor>(70));
  CHECK_FALSE(held_by_blocks.operator()<straddling>(70));
  CHECK(held_by_blocks.operator()<straddling>(20));
  CHECK_FALSE(held_by_blocks.operator()<straddling>(21));
}

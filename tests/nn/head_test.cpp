// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/head.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

using kernels = simd::default_kernels;

struct sizes {
  std::size_t rows, hidden, vocabulary;
};
// No rows and no depth; on both sides of few rows, of a slice, and of a block of rows; and so deep that two panels
// and 24 rows go at a time.
constexpr sizes shapes[] = {{0, 3, 5},      {1, 1, 1},     {1, 7, 2100}, {3, 0, 4},       {7, 5, 1023},  {9, 5, 17},
                            {10, 33, 1025}, {20, 3, 3000}, {513, 2, 40}, {1100, 1, 1030}, {60, 5000, 40}};

double expected(const matrix<float>& x, const matrix<float>& head, std::size_t row, std::size_t word) {
  double total = 0;
  for (std::size_t k = 0; k != x.cols(); ++k) total += double{x(row, k)} * double{head(word, k)};
  return total;
}

}  // namespace

TEST_CASE("tiles cover all logits once, whatever the number of threads") {
  for (const auto& [rows, hidden, vocabulary] : shapes) {
    CAPTURE(rows);
    CAPTURE(vocabulary);
    const auto x = random_matrix(rows, hidden, 1), head = random_matrix(vocabulary, hidden, 2);
    sequential here;
    matrix<float> whole(rows, vocabulary, -7.0f);
    nn::all_logits<kernels>(here, 1, x, head, whole);
    double worst = 0;
    for (std::size_t i = 0; i != rows; ++i)
      for (std::size_t v = 0; v != vocabulary; ++v)
        worst = std::max(worst, std::abs(double{whole(i, v)} - expected(x, head, i, v)));
    CHECK(worst < 1e-6 + 1e-7 * static_cast<double>(hidden));

    for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
      thread_pool threads(count);
      matrix<float> pieces(rows, vocabulary, -7.0f);
      std::atomic<std::size_t> seen = 0;
      nn::for_each_logit_tile<kernels>(threads, 1, x, head, [&](const nn::logit_tile& tile) {
        seen += tile.logits.size();
        for (std::size_t i = 0; i != tile.logits.rows(); ++i)
          std::ranges::copy(tile.logits.row(i), pieces.row(tile.first_row + i).subspan(tile.first_word).begin());
      });
      CHECK(seen == rows * vocabulary);
      CHECK(std::ranges::equal(pieces.flat(), whole.flat()));
    }
  }
}

TEST_CASE("a tile is a slice of the vocabulary and a block of rows") {
  const auto x = random_matrix(1100, 2, 3), head = random_matrix(1030, 2, 4);
  sequential here;
  std::size_t tiles = 0;
  nn::for_each_logit_tile<kernels>(here, 1, x, head, [&](const nn::logit_tile& tile) {
    ++tiles;
    CHECK(tile.first_word == tile.slice * nn::vocabulary_slice);
    CHECK(tile.logits.rows() <= 512);
    CHECK(tile.logits.cols() == (tile.slice == 0 ? nn::vocabulary_slice : 6));
  });
  CHECK(tiles == 3 * nn::vocabulary_slices(1030));
}

TEST_CASE("a lane's logits do not depend on the other lanes") {
  // Few rows and many of them, of which the lanes make together more than few, or more than a block.
  for (const std::size_t rows : {std::size_t{4}, std::size_t{300}}) {
    const auto x = random_matrix(3 * rows, 6, 5), head = random_matrix(70, 6, 6);
    sequential here;
    matrix<float> together(3 * rows, 70), alone(rows, 70);
    nn::all_logits<kernels>(here, 3, x, head, together);
    for (std::size_t lane = 0; lane != 3; ++lane) {
      nn::all_logits<kernels>(here, 1, x.view().row_block(lane * rows, rows), head, alone);
      CHECK(std::ranges::equal(alone.flat(), together.flat().subspan(lane * rows * 70, rows * 70)));
    }
  }
}

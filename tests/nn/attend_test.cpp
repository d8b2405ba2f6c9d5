// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/attend.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// Softmax-weighted values of one query, in double.
double expected(const matrix<float>& query, const matrix<float>& keys, const matrix<float>& values, std::size_t i,
                std::size_t column) {
  const std::size_t size = keys.cols(), head = column / size, visible = keys.rows() - query.rows() + i + 1;
  double total = 0, mixed = 0;
  for (std::size_t k = 0; k != visible; ++k) {
    double score = 0;
    for (std::size_t j = 0; j != size; ++j) score += double{query(i, head * size + j)} * double{keys(k, j)};
    const double weight = std::exp(score / std::sqrt(static_cast<double>(size)));
    total += weight;
    mixed += weight * double{values(k, column % size)};
  }
  return mixed / total;
}

}  // namespace

TEST_CASE("queries see the keys up to their own position") {
  struct sizes {
    std::size_t tokens, past, size, heads;
  };
  // A single query; around a panel of 16 and a block of 64 queries; a first block that the past cuts short.
  for (const auto& [tokens, past, size, heads] : {sizes{1, 0, 1, 1},
                                                  {1, 40, 8, 3},
                                                  {16, 0, 16, 1},
                                                  {17, 3, 18, 2},
                                                  {64, 0, 4, 2},
                                                  {65, 0, 4, 1},
                                                  {130, 7, 6, 2},
                                                  {2, 63, 33, 1},
                                                  {70, 130, 5, 2}}) {
    CAPTURE(tokens);
    CAPTURE(past);
    const auto query = random_matrix(tokens, heads * size, 1, 2), keys = random_matrix(past + tokens, size, 2, 2),
               values = random_matrix(past + tokens, size, 3);
    matrix<float> mixed(tokens, heads * size, -7.0f);
    nn::attend<simd::default_kernels>(query, keys, values, mixed);
    double worst = 0;
    for (std::size_t i = 0; i != tokens; ++i)
      for (std::size_t c = 0; c != mixed.cols(); ++c)
        worst = std::max(worst, std::abs(double{mixed(i, c)} - expected(query, keys, values, i, c)));
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("no queries, no work") {
  const matrix<float> nothing(0, 4);
  matrix<float> mixed(0, 8);
  nn::attend<simd::default_kernels>(matrix<float>(0, 8), nothing, nothing, mixed);
  CHECK(mixed.empty());
}

TEST_CASE("views into wider matrices are left alone outside") {
  const auto query = random_matrix(5, 12, 4), keys = random_matrix(5, 9, 5), values = random_matrix(5, 9, 6);
  matrix<float> mixed(5, 12, 3.0f);
  nn::attend<simd::default_kernels>(query.view().col_block(4, 4), keys.view().col_block(3, 4),
                                    values.view().col_block(3, 4), mixed.view().col_block(4, 4));
  for (std::size_t i = 0; i != 5; ++i)
    for (std::size_t c = 0; c != 12; ++c) CHECK((mixed(i, c) == 3.0f) == (c < 4 || c >= 8));
}

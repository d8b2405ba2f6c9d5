// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear/float_tile.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <algorithm>
#include <cstddef>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("the product with a lane's rows is that of plain loops, for few tokens and for many") {
  constexpr std::size_t lanes = 2, count = 19, in = 23;
  const matrix<float> weights = random_matrix(lanes * count, in, 1), bias = random_matrix(1, count, 2);
  nn::float_tile tile;
  tile.reset(lanes, count, in);
  for (std::size_t lane = 0; lane != lanes; ++lane)
    for (std::size_t r = 0; r != count; ++r) std::ranges::copy(weights.row(lane * count + r), tile.row(lane, r));
  for (const std::size_t tokens : {std::size_t{1}, nn::few_tokens, std::size_t{37}})
    for (std::size_t lane = 0; lane != lanes; ++lane)
      for (const bool accumulate : {false, true}) {
        const matrix<float> x = random_matrix(tokens, in, 3), before = random_matrix(tokens, count, 4);
        matrix<float> y = before;
        tile.multiply<simd::default_kernels>(x, tokens, lane, {bias.data(), accumulate}, y);
        for (std::size_t i = 0; i != tokens; ++i)
          for (std::size_t r = 0; r != count; ++r) {
            double sum = double{bias(0, r)} + (accumulate ? double{before(i, r)} : 0.0);
            for (std::size_t k = 0; k != in; ++k) sum += double{x(i, k)} * double{weights(lane * count + r, k)};
            CHECK(double{y(i, r)} == doctest::Approx(sum).epsilon(1e-4));
          }
      }
}

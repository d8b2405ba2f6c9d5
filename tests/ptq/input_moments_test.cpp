// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/input_moments.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("moments are the mean of the outer products, however the rows come") {
  for (const std::size_t rows : {std::size_t{1}, std::size_t{256}, std::size_t{700}}) {
    const auto x = random_matrix(rows, 9, 1, 2);
    ptq::input_moments whole(9), one_by_one(9);
    whole.add(x);
    for (std::size_t r = 0; r != rows; ++r) one_by_one.add(x.row(r));
    CHECK(whole.rows() == rows);
    const auto mean = whole.mean();
    for (std::size_t i = 0; i != 9; ++i)
      for (std::size_t j = 0; j != 9; ++j) {
        double expected = 0;
        for (std::size_t r = 0; r != rows; ++r) expected += double{x(r, i)} * double{x(r, j)};
        CHECK(std::abs(mean(i, j) - expected / static_cast<double>(rows)) < 1e-6);
      }
    CHECK(std::ranges::equal(mean.flat(), one_by_one.mean().flat()));
    CHECK(std::ranges::equal(mean.flat(), whole.mean().flat()));  // asking changes nothing
  }
}

TEST_CASE("inputs that are none, or of another length, are refused") {
  ptq::input_moments moments(3);
  CHECK_THROWS_AS(static_cast<void>(moments.mean()), value_error);
  const std::vector<float> four(4, 1.0f), bad{1, 2, std::numeric_limits<float>::infinity()};
  check_mentions(message_of<value_error>([&] { moments.add(std::span(four)); }), "4 elements", "3");
  check_mentions(message_of<value_error>([&] { moments.add(std::span(bad)); }), "element 2", "input 0", "inf");
  check_mentions(message_of<value_error>([&] { moments.add(matrix_view<const float>(four.data(), 2, 2)); }),
                 "[2, 2]");
  CHECK(moments.rows() == 0);
}

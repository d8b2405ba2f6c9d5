// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/moments.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/random_model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("moments are added to what is there") {
  thread_pool threads(3);
  for (const std::size_t rows :
       {std::size_t{0}, std::size_t{1}, std::size_t{255}, std::size_t{256}, std::size_t{257}, std::size_t{600}}) {
    CAPTURE(rows);
    const auto a = random_matrix(rows, 5, 1, 2), b = random_matrix(rows, 19, 2, 2);
    matrix<double> sums(5, 19, 3.0), expected(5, 19, 3.0);
    ptq::add_moments(a.view(), b.view(), sums, threads);
    for (std::size_t i = 0; i != rows; ++i)
      for (std::size_t p = 0; p != 5; ++p)
        for (std::size_t q = 0; q != 19; ++q) expected(p, q) += double{a(i, p)} * double{b(i, q)};
    double worst = 0;
    for (std::size_t i = 0; i != sums.size(); ++i)
      worst = std::max(worst, std::abs(sums.flat()[i] - expected.flat()[i]));
    CHECK(worst <= 4e-7 * static_cast<double>(rows));

    sequential here;
    matrix<double> again(5, 19, 3.0);
    ptq::add_moments(a.view(), b.view(), again, here);
    CHECK(std::ranges::equal(again.flat(), sums.flat()));
  }
}

TEST_CASE("moments of shapes that do not fit are refused") {
  sequential here;
  matrix<double> sums(5, 19, 0.0);
  const matrix<float> a(4, 5, 1.0f), short_b(3, 19, 1.0f), narrow(4, 18, 1.0f);
  check_mentions(message_of<value_error>([&] { ptq::add_moments(a.view(), short_b.view(), sums, here); }), "[4, 5]",
                 "[3, 19]", "[5, 19]");
  CHECK_THROWS_AS(ptq::add_moments(a.view(), narrow.view(), sums, here), value_error);
}

TEST_CASE("many tokens cost no precision") {
  // In float the sum of a million tokens would stall at 2^24 / 256 blocks of this size.
  matrix<float> ones(1024, 1, 256.0f);
  sequential here;
  matrix<double> sum(1, 1, 0x1p50);
  ptq::add_moments(ones.view(), ones.view(), sum, here);
  CHECK(sum(0, 0) == 0x1p50 + 1024 * 65536.0);
}

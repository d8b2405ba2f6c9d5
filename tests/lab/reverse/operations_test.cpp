// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/reverse/operations.hpp>

#include <doctest/doctest.h>
#include <lab/reverse/differences.hpp>
#include <support/errors.hpp>

#include <cmath>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::lab::reverse;

TEST_CASE("a product is what plain loops make, and has the derivatives of differences") {
  const matrix<double> x = random_values(3, 4, 1), w = random_values(2, 4, 2);
  tape t;
  const variable y = product(t, t.input(x), t.input(w));
  for (std::size_t i = 0; i != 3; ++i)
    for (std::size_t o = 0; o != 2; ++o) {
      double sum = 0;
      for (std::size_t k = 0; k != 4; ++k) sum += x(i, k) * w(o, k);
      CHECK(y->value(i, o) == doctest::Approx(sum));
    }
  check_derivatives([](tape& s, auto in) { return product(s, in[0], in[1]); }, {x, w});
}

TEST_CASE("sums, products of elements, rows, and functions") {
  const std::vector<matrix<double>> same{random_values(3, 4, 1), random_values(3, 4, 2)};
  check_derivatives([](tape& t, auto in) { return add(t, in[0], in[1]); }, same);
  check_derivatives([](tape& t, auto in) { return multiply(t, in[0], in[1]); }, same);
  const std::vector<matrix<double>> row{random_values(3, 4, 1), random_values(1, 4, 2)};
  check_derivatives([](tape& t, auto in) { return add_row(t, in[0], in[1], -0.5); }, row);
  check_derivatives([](tape& t, auto in) { return multiply_row(t, in[0], in[1]); }, row);
  check_derivatives([](tape& t, auto in) { return exponential(t, in[0], -2); }, {row[0]});
}

TEST_CASE("elements are taken in any order, several times or not at all") {
  tape t;
  const variable taken = take(t, t.input(random_values(1, 3, 4)), 2, 2, {2, 0, 2, 2});
  CHECK(taken->value(1, 0) == taken->value(0, 0));
  check_derivatives([](tape& s, auto in) { return take(s, in[0], 2, 2, {2, 0, 2, 2}); }, {random_values(1, 3, 4)});
  check_derivatives([](tape& s, auto in) { return take_rows(s, in[0], {1, 1, 0}); }, {random_values(2, 3, 4)});
}

TEST_CASE("norms") {
  const std::vector<matrix<double>> at{random_values(3, 5, 1), random_values(1, 5, 2)};
  check_derivatives([](tape& t, auto in) { return rms_norm(t, in[0], in[1], 1e-3); }, at);
  check_derivatives([](tape& t, auto in) { return center(t, in[0]); }, {at[0]});
}

TEST_CASE("shapes that do not fit are refused") {
  tape t;
  const variable x = t.input(random_values(3, 4, 1)), y = t.input(random_values(2, 3, 2));
  const auto refused = [](auto&& f) { return message_of<value_error>([&] { static_cast<void>(f()); }); };
  check_mentions(refused([&] { return product(t, x, y); }), "[3, 4]");
  check_mentions(refused([&] { return add(t, x, y); }), "different shapes");
  check_mentions(refused([&] { return add_row(t, x, y); }), "a row [2, 3]");
  check_mentions(refused([&] { return take(t, y, 1, 1, {6}); }), "[2, 3]");
}

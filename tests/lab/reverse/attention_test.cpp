// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/reverse/attention.hpp>

#include <doctest/doctest.h>
#include <lab/reverse/differences.hpp>
#include <support/errors.hpp>

#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::lab::reverse;

namespace {

/// Four heads of two keys and values, sequences of 3, 1 and 2 tokens.
attention_layout layout() { return {4, 2, 3, {0, 3, 4, 6}}; }
std::vector<matrix<double>> heads() {
  return {random_values(6, 12, 1), random_values(6, 6, 2), random_values(6, 6, 3)};
}

}  // namespace

TEST_CASE("attention of grouped queries has the derivatives of differences") {
  check_derivatives([](tape& t, auto in) { return attend(t, in[0], in[1], in[2], layout()); }, heads());
}

TEST_CASE("no token sees those behind it, nor other sequences") {
  auto at = heads();
  tape t;
  const variable before = attend(t, t.input(at[0]), t.input(at[1]), t.input(at[2]), layout());
  for (std::size_t j = 0; j != 6; ++j) at[1](2, j) += 1, at[2](2, j) += 1;
  const variable after = attend(t, t.input(at[0]), t.input(at[1]), t.input(at[2]), layout());
  for (std::size_t row = 0; row != 6; ++row)
    for (std::size_t j = 0; j != 12; ++j) CHECK((before->value(row, j) != after->value(row, j)) == (row == 2));
  // A sequence of one token mixes its own value alone.
  for (std::size_t j = 0; j != 12; ++j) CHECK(before->value(3, j) == doctest::Approx(at[2](3, j / 6 * 3 + j % 3)));
}

TEST_CASE("turns go back by their transposes") {
  const std::vector<matrix<double>> turns{random_values(3, 3, 5), random_values(3, 3, 6)};
  check_derivatives([&](tape& t, auto in) { return turn(t, in[0], {1, 0, 1}, turns); }, {random_values(3, 6, 7)});
}

TEST_CASE("heads of another width are refused") {
  tape t;
  const variable x = t.input(random_values(6, 6, 1));
  check_mentions(message_of<value_error>([&] { static_cast<void>(attend(t, x, x, x, layout())); }), "width 6");
}

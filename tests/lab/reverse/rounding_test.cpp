// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/reverse/rounding.hpp>

#include <doctest/doctest.h>
#include <lab/reverse/differences.hpp>
#include <support/errors.hpp>

#include <algorithm>
#include <cmath>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::lab::reverse;

namespace {

/// To halves, at most one half.
rounded_values to_halves(const matrix<double>& x) {
  rounded_values r{x, x};
  for (std::size_t i = 0; i != x.size(); ++i) {
    const double nearest = std::round(2 * x.data()[i]) / 2;
    r.values.data()[i] = std::min(nearest, 0.5), r.clamped.data()[i] = nearest > 0.5 ? 1 : 0;
  }
  return r;
}

}  // namespace

TEST_CASE("values are those of the quantizer, and its errors are held where parameters move") {
  matrix<double> x(1, 3, 0.2);
  x(0, 1) = 0.3, x(0, 2) = 0.9;
  roundings r;
  tape t;
  const variable in = t.input(x);
  const variable out = straight_through(t, in, r, [&] { return to_halves(x); });
  CHECK(out->value(0, 0) == 0);
  CHECK(out->value(0, 1) == 0.5);
  CHECK(out->value(0, 2) == 0.5);
  t.backward(product(t, out, t.input(matrix<double>(1, 3, 2.0))));
  CHECK(in->gradient(0, 0) == 2);
  CHECK(in->gradient(0, 2) == 0);  // clamped

  r.hold();
  for (double& v : x.flat()) v += 0.25;
  tape again;
  const auto never = [&] { return rounded_values{}; };
  const variable held = straight_through(again, again.input(x), r, never);
  CHECK(held->value(0, 0) == 0.25);
  CHECK(held->value(0, 1) == 0.75);
  CHECK(held->value(0, 2) == 0.5);
  check_mentions(
      message_of<value_error>([&] { static_cast<void>(straight_through(again, again.input(x), r, never)); }),
      "2 were noted");
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/quant/host_matrix.hpp>

#include <doctest/doctest.h>
#include <quant/weights.hpp>
#include <support/errors.hpp>
#include <zoqat/quant/fake_quantize.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::quant;
using namespace zoqat::quant::testing;
using zoqat::testing::check_mentions;
using zoqat::testing::message_of;

namespace {

using plain = weight<3>;
using grouped = weight<4, group<16>, asymmetric, clip::none, fp16_scale>;
using whole = weight<4, per_tensor, symmetric>;
using with_minima = weight<4, group<16>, with_minimum, clip::none, fp16_scale>;

bool same(matrix_view<const float> a, matrix_view<const float> b) {
  for (std::size_t r = 0; r != a.rows(); ++r)
    if (!std::ranges::equal(a.row(r), b.row(r))) return false;
  return a.rows() == b.rows();
}

}  // namespace

TEST_CASE_TEMPLATE("a matrix starts as its weights rounded to nearest, or as the codes that were found", Weight,
                   plain, grouped, whole, with_minima) {
  const auto w = weights(21, 40, 1);
  matrix<float> expected(21, 40), out(21, 40);
  fake_quantize<Weight>(w, expected);
  thread_pool threads(2);
  host_matrix<Weight> m(w.view());
  m.materialize(out, threads);
  CHECK(same(out, expected));
  host_matrix<Weight> found(quantize<Weight>(w));
  found.materialize(out);
  CHECK(same(out, expected));
}

TEST_CASE("step sizes of tensor, row and group multiply, and are deployed as they act") {
  const auto w = weights(21, 40, 2);  // groups of 16, 16 and 8
  host_matrix<grouped> m(w.view());
  REQUIRE(m.row_steps().size() == 21);
  REQUIRE(m.group_steps().size() == 63);
  matrix<float> before(21, 40), after(21, 40);
  m.materialize(before);
  m.tensor_step()[0] = 0.1f;
  m.row_steps()[3] = -0.2f;
  m.group_steps()[3 * 3 + 2] = 0.3f;
  m.materialize(after);
  for (std::size_t r = 0; r != 21; ++r)
    for (std::size_t k = 0; k != 40; ++k) {
      const double log_factor = 0.1 + (r == 3 ? -0.2 : 0) + (r == 3 && k >= 32 ? 0.3 : 0);
      REQUIRE(after(r, k) == doctest::Approx(double{before(r, k)} * std::exp(log_factor)).epsilon(1e-3));
    }
  CHECK(same(dequantize(m.deployed()), after));
}

TEST_CASE_TEMPLATE("weights that train are rounded to the grids as they are", Weight, plain, grouped, whole) {
  auto w = weights(21, 40, 3);
  host_matrix<Weight> m(w.view());
  matrix<float> out(21, 40), nearest(21, 40);
  fake_quantize<Weight>(w, nearest);
  m.materialize(w.view(), out);
  CHECK(same(out, nearest));
  m.tensor_step()[0] = -0.5f;  // clips
  m.materialize(w.view(), out);
  for (std::size_t r = 0; r != 21; ++r)
    for (std::size_t k = 0; k != 40; ++k) {
      const simd::grid g = m.grid(r, k / Weight::group_size(40));
      const float lowest = g.scale * static_cast<float>(-g.zero_point);
      const float highest = g.scale * static_cast<float>((1 << Weight::bits) - 1 - g.zero_point);
      REQUIRE(std::abs(out(r, k) - std::clamp(w(r, k), lowest, highest)) <= 0.5001f * g.scale);
    }
  CHECK(same(dequantize(m.deployed()), out));
  m.materialize(w.view(), w.view());
  CHECK(same(w, out));
}

TEST_CASE("weights that are not finite, and an output that overlaps them, are refused") {
  auto w = weights(12, 40, 6);
  host_matrix<plain> m(w.view().row_block(0, 8));
  check_mentions(message_of<value_error>([&] { m.materialize(w.view().row_block(0, 8), w.view().row_block(2, 8)); }),
                 "materialize", "overlaps");
  w(3, 5) = std::numeric_limits<float>::quiet_NaN();
  matrix<float> out(8, 40);
  check_mentions(message_of<value_error>([&] { m.materialize(w.view().row_block(0, 8), out); }), "(3, 5)");
}

TEST_CASE("the parameters are tensors of groups of their own") {
  host_matrix<grouped> m(weights(5, 40, 4).view());
  host_matrix<plain> n(weights(5, 40, 4).view());
  host_matrix<whole> t(weights(5, 40, 4).view());
  zo::parameter_list list;
  m.add_to(list, "a");
  n.add_to(list, "b");
  t.add_to(list, "c");
  const std::vector<std::pair<std::string, parameter_group>> expected{
      {"a.step_tensor", parameter_group::step_tensor}, {"a.step_row", parameter_group::step_row},
      {"a.step_group", parameter_group::step_group},   {"b.step_tensor", parameter_group::step_tensor},
      {"b.step_row", parameter_group::step_row},       {"c.step_tensor", parameter_group::step_tensor}};
  REQUIRE(list.size() == expected.size());
  for (std::size_t i = 0; i != expected.size(); ++i) {
    CHECK(list[i].name == expected[i].first);
    CHECK(list[i].group == expected[i].second);
  }
  CHECK(list[1].values.data() == m.row_steps().data());
}

TEST_CASE("other shapes are errors that give both") {
  const auto w = weights(5, 40, 5);
  host_matrix<plain> m(w.view());
  matrix<float> narrow(5, 39), fits(5, 40);
  check_mentions(message_of<value_error>([&] { m.materialize(narrow.view()); }), "[5, 39]", "[5, 40]");
  check_mentions(message_of<value_error>([&] { m.materialize(narrow.view(), fits.view()); }), "[5, 39]", "[5, 40]");
}

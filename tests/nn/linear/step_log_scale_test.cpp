// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/linear/step_log_scale.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a gain is the exponential of the sum of its levels, on every lane") {
  constexpr std::size_t rows = 19, groups = 3;
  nn::parameter_ids ids;
  nn::step_log_scale gain(ids, "w", rows, groups);
  std::map<std::string, nn::trainable*> levels;
  nn::for_each_trainable(gain, [&](nn::trainable& t) {
    std::ranges::copy(random_floats(t.values().size(), t.view().id), t.values().data());
    levels[t.name()] = &t;
  });
  REQUIRE(levels.size() == 4);

  std::array<zo::perturbation, 2> points;  // the first at the masters, the second moves one level
  points[1].along = {3, 0, 0};
  points[1].scale[parameter_group::step_column] = 0.25f;
  const zo::lanes<zo::rademacher> lanes({points, {}});
  matrix<float> moved;
  nn::read_all(lanes, *levels["w.log_step.column"], moved);
  for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 16}, {16, 3}}) {
    matrix<float> factors;
    gain.factors(lanes, first, count, groups, factors);
    REQUIRE(factors.rows() == 2 * count);
    for (std::size_t lane = 0; lane != 2; ++lane)
      for (std::size_t r = 0; r != count; ++r)
        for (std::size_t g = 0; g != groups; ++g) {
          const double sum = double{levels["w.log_step.tensor"]->values()(0, 0)} +
                             double{levels["w.log_step.row"]->values()(0, first + r)} + double{moved(lane, g)} +
                             double{levels["w.log_step.group"]->values()(first + r, g)};
          CHECK(double{factors(lane * count + r, g)} == doctest::Approx(std::exp(sum)).epsilon(1e-5));
        }
  }
}

TEST_CASE("one grid per row needs no level for columns and groups") {
  nn::parameter_ids ids;
  nn::step_log_scale gain(ids, "w", 4, 1), none;
  std::vector<std::string> names;
  std::vector<parameter_group> kinds;
  nn::for_each_trainable(gain, [&](nn::trainable& t) {
    names.push_back(t.name());
    kinds.push_back(t.view().group);
  });
  CHECK(names == std::vector<std::string>{"w.log_step.tensor", "w.log_step.row"});
  CHECK(kinds == std::vector{parameter_group::step_tensor, parameter_group::step_row});
  nn::for_each_trainable(none, [](nn::trainable&) { FAIL_CHECK("a default gain has parameters"); });
  matrix<float> factors;
  gain.factors(at_masters, 0, 4, 1, factors);
  for (const float f : factors.flat()) CHECK(f == 1);
  gain.release();
  nn::for_each_trainable(gain, [](nn::trainable&) { FAIL_CHECK("released parameters are still there"); });
}

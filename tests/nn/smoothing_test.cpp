// SPDX-License-Identifier: Apache-2.0
#include <zoqat/nn/smoothing.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

TEST_CASE("a default smooth does nothing") {
  const nn::smoothing none;
  CHECK_FALSE(none.active());
  CHECK_FALSE(none.shifts());
  matrix<float> out(3, 3);
  none.scales(at_masters, out);
  CHECK(out.empty());
  none.shifts(at_masters, out);
  CHECK(out.empty());
}

TEST_CASE("s is the exponential of a parameter for each channel, 1 at the start") {
  nn::parameter_ids ids;
  nn::smoothing smooth(ids, "input", 5);
  matrix<float> s;
  smooth.scales(at_masters, s);
  REQUIRE(s.cols() == 5);
  for (const float x : s.flat()) CHECK(x == 1);
  smooth.log_scale().values()(0, 3) = -2;
  smooth.scales(at_masters, s);
  for (std::size_t j = 0; j != 5; ++j) CHECK(s(0, j) == (j == 3 ? std::exp(-2.0f) : 1.0f));
  std::vector<std::string> names;
  nn::for_each_trainable(smooth, [&](nn::trainable& t) {
    names.push_back(t.name());
    CHECK(t.view().group == parameter_group::smoothing);
  });
  CHECK(names == std::vector<std::string>{"input.log_scale"});
}

TEST_CASE("repeated blocks share their parameters, for s and shift") {
  // 3 value heads of size 2, each mixed by 2 query heads: 0 0 1 1 2 2.
  nn::parameter_ids ids;
  nn::smoothing smooth(ids, "input", 12, 2, 2, true);
  REQUIRE(smooth.log_scale().cols() == 6);
  const std::vector<std::size_t> sources{0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5};
  for (std::size_t i = 0; i != 6; ++i) {
    smooth.log_scale().values()(0, i) = static_cast<float>(i);
    smooth.shift().values()(0, i) = static_cast<float>(10 * i);
  }
  matrix<float> s, shift;
  smooth.scales(at_masters, s);
  smooth.shifts(at_masters, shift);
  REQUIRE(s.cols() == 12);
  REQUIRE(shift.cols() == 12);
  for (std::size_t j = 0; j != 12; ++j) {
    CHECK(smooth.source(j) == sources[j]);
    CHECK(s(0, j) == std::exp(static_cast<float>(sources[j])));
    CHECK(shift(0, j) == static_cast<float>(10 * sources[j]));
  }
}

TEST_CASE("a frozen smooth is the same on every lane and trains nothing") {
  nn::parameter_ids ids;
  nn::smoothing smooth(ids, "input", 4, true);
  smooth.log_scale().values()(0, 1) = 0.5f;
  smooth.freeze();
  const auto scale = per_group<float>::all(0.3f);
  const std::vector<zo::perturbation> points{{{1, 2, 0}, scale}, {{1, 2, 1}, scale}};
  matrix<float> s;
  smooth.scales(zo::lanes<zo::gaussian>({points, {}}), s);
  REQUIRE(s.rows() == 2);
  for (std::size_t lane = 0; lane != 2; ++lane)
    for (std::size_t j = 0; j != 4; ++j) CHECK(s(lane, j) == (j == 1 ? std::exp(0.5f) : 1.0f));
  int frozen = 0;
  nn::for_each_trainable(smooth, [&](nn::trainable& t) { frozen += t.frozen(); });
  CHECK(frozen == 2);
}

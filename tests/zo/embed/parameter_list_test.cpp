// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/embed/parameter_list.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zoqat/zo/log/run_log.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

using namespace zoqat;
using testing::check_mentions;
using testing::message_of;

static_assert(parameter_store<zo::parameter_list> && parameter_store<const zo::parameter_list>);

TEST_CASE("parameters come back in the order in which they were added, with ids that count") {
  std::vector<float> a{1, 2, 3, 4, 5, 6}, b{7};
  const std::vector<float> unit{0.5f, 0.25f};
  zo::parameter_list list;
  list.add("a", a, parameter_group::smoothing, unit);
  list.add("b", b);
  REQUIRE(list.size() == 2);
  CHECK(list[0].id == 0);
  CHECK(list[0].name == "a");
  CHECK(list[0].group == parameter_group::smoothing);
  CHECK(list[0].values.data() == a.data());
  CHECK(list[0].values.size() == 6);
  CHECK(list[0].unit.data() == unit.data());
  CHECK(list[0].unit.size() == 2);
  CHECK(list[1].id == 1);
  CHECK(list[1].group == parameter_group::weight);
  CHECK(list[1].unit.empty());
  std::string names;
  list.for_each_parameter([&](const parameter& p) { names += p.name; });
  CHECK(names == "ab");
}

TEST_CASE("the list keeps the names, however long it gets") {
  std::vector<float> value{1};
  zo::parameter_list list;
  for (int i = 0; i != 1000; ++i) list.add(std::to_string(i), value);
  for (std::size_t i = 0; i != 1000; ++i) {
    REQUIRE(list[i].name == std::to_string(i));
    REQUIRE(list[i].id == i);
  }
}

TEST_CASE("units that do not make rows, or are not positive numbers, are errors") {
  std::vector<float> values(6);
  zo::parameter_list list;
  const auto adding = [&](std::vector<float> unit) {
    return message_of<value_error>([&] { list.add("blk.0.q", values, parameter_group::weight, unit); });
  };
  check_mentions(adding({1, 1, 1, 1}), "'blk.0.q'", "6 values", "4 rows");
  check_mentions(adding({1, 0}), "'blk.0.q'", "0");
  check_mentions(adding({-1, 1}), "'blk.0.q'", "-1");
  check_mentions(adding({1, std::numeric_limits<float>::quiet_NaN()}), "nan");
  check_mentions(adding({std::numeric_limits<float>::infinity(), 1}), "inf");
  CHECK(list.size() == 0);
}

TEST_CASE("tensors without values, and rows of one value") {
  std::vector<float> none, three{1, 2, 3};
  const std::vector<float> unit{1, 2, 3};
  zo::parameter_list list;
  CHECK_NOTHROW(list.add("none", none));
  CHECK_NOTHROW(list.add("three", three, parameter_group::weight, unit));
  CHECK(list.size() == 2);
}

TEST_CASE("masters in bf16 are listed beside those in fp32, and trained") {
  std::vector<float> full(3, 1.0f);
  std::vector<bf16> halves(4000, bf16(1.0f));
  const std::vector<float> units(2, 0.5f);
  zo::parameter_list list;
  list.add("full", std::span(full));
  list.add("half", std::span(halves), parameter_group::norm, units);
  CHECK(list[1].size() == 4000);
  CHECK(list[1].values.empty());
  CHECK(list[1].compact.halves.data() == halves.data());
  CHECK(list[1].group == parameter_group::norm);
  CHECK_THROWS_WITH_AS(list.add("ragged", std::span(halves).first(3), parameter_group::norm, units),
                       "parameter 'ragged': 3 values do not make 2 rows, one for each unit", value_error);
  const auto before = zo::fingerprint(list);
  zo::apply(zo::update{zo::planned_update{.seed = 1, .gain = per_group<float>::all(0.1f), .half_difference = {1.0f}},
                       zo::gaussian()},
            list);
  CHECK(zo::fingerprint(list) != before);
  CHECK(std::ranges::count(halves, bf16(1.0f)) < 1000);
}

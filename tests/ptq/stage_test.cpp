// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/stage.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <set>

using namespace zoqat;

TEST_CASE("every stage has a name of its own, in the order of the stages") {
  CHECK(std::set(ptq::stage_names.begin(), ptq::stage_names.end()).size() == ptq::stage_names.size());
  const auto name = [](ptq::stage s) { return ptq::stage_names[static_cast<std::size_t>(s)]; };
  CHECK(name(ptq::stage::codes) == "codes");
  CHECK(name(ptq::stage::gptq) == "gptq");
  CHECK(name(ptq::stage::rptq) == "rptq");
  CHECK(static_cast<std::size_t>(ptq::stage::rptq) + 1 == ptq::stage_names.size());
  CHECK(ptq::chooses_grids(ptq::stage::clip));
  CHECK_FALSE(ptq::chooses_grids(ptq::stage::outlier_suppression));
}

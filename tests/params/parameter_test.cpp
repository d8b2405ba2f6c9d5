// SPDX-License-Identifier: Apache-2.0
#include <zoqat/params/parameter.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <set>
#include <string_view>
#include <vector>

using namespace zoqat;

namespace {

struct two_tensors {
  std::vector<float> a{1, 2}, b{3};
  template <class F>
  void for_each_parameter(F&& visit) {
    visit(parameter{.id = 0, .name = "a", .values = a});
    visit(parameter{.id = 1, .name = "b", .group = parameter_group::norm, .values = b});
  }
};

}  // namespace

static_assert(parameter_store<two_tensors> && !parameter_store<std::vector<parameter>>);

TEST_CASE("the groups are numbered from zero, each with a name of its own") {
  for (std::size_t i = 0; i != parameter_groups; ++i) CHECK(static_cast<std::size_t>(all_parameter_groups[i]) == i);
  const std::set<std::string_view> names(parameter_group_names.begin(), parameter_group_names.end());
  CHECK(names.size() == parameter_groups);
  CHECK(names.count("") == 0);
}

TEST_CASE("per_group gives each group the member of its name") {
  per_group<std::string_view> members;
  members.weight = "weight";
  members.smoothing = "smoothing";
  members.score_scale = "score_scale";
  members.clipping = "clipping";
  members.step_tensor = "step_tensor";
  members.step_row = "step_row";
  members.step_column = "step_column";
  members.step_group = "step_group";
  members.norm = "norm";
  members.norm_scale = "norm_scale";
  for (const parameter_group group : all_parameter_groups)
    CHECK(members[group] == parameter_group_names[static_cast<std::size_t>(group)]);
  CHECK(members[parameter_group::weight] == "weight");  // and the names are the enumerators
  CHECK(members[parameter_group::clipping] == "clipping");
  CHECK(members[parameter_group::norm] == "norm");
}

TEST_CASE("per_group starts at zero, is filled by `all`, and is written through its index") {
  per_group<float> values;
  for (const parameter_group group : all_parameter_groups) CHECK(values[group] == 0);
  values[parameter_group::clipping] = 2;
  CHECK(values.clipping == 2);
  CHECK(values == per_group<float>{.clipping = 2});
  CHECK(values != per_group<float>{.smoothing = 2});
  constexpr auto threes = per_group<int>::all(3);
  for (const parameter_group group : all_parameter_groups) CHECK(threes[group] == 3);
}

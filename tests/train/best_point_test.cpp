// SPDX-License-Identifier: Apache-2.0
#include <zoqat/train/best_point.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

using namespace zoqat;

namespace {

/// Two tensors of different groups.
struct store {
  std::vector<float> norms{1, 2}, weights{3};

  template <class F>
  void for_each_parameter(F&& f) {
    f(parameter{.id = 0, .name = "norm", .group = parameter_group::norm, .values = norms});
    f(parameter{.id = 1, .name = "weight", .group = parameter_group::weight, .values = weights});
  }
};

/// A store that fails at its second tensor.
struct failing_store : store {
  bool fails = false;

  template <class F>
  void for_each_parameter(F&& f) {
    store::for_each_parameter([&](const parameter& p) {
      if (fails && p.group == parameter_group::weight) throw std::bad_alloc();
      f(p);
    });
  }
};

constexpr per_group<bool> norms_train() {
  per_group<bool> groups;
  groups.norm = true;
  return groups;
}

train::step_report after(std::uint32_t step, std::uint32_t steps) { return {.step = step, .steps = steps}; }

}  // namespace

TEST_CASE("the best of the steps that are looked at comes back, in the groups that train") {
  store parameters;
  train::best_point best(parameters, norms_train(), 2, [&] { return -std::abs(double{parameters.norms[0]} - 4); });
  const std::vector<float> walk{4, 3.5f, 4, 6, 5};  // the best is never looked at: after 1 and 3 of 5 steps
  for (std::uint32_t step = 0; step != 5; ++step) {
    parameters.norms[0] = walk[step];
    parameters.weights[0] += 1;
    CHECK(best.reads_parameters(after(step, 5)) == (step == 1 || step == 3 || step == 4));
    best.after_step(after(step, 5));
  }
  CHECK(best.restore() == 2);
  CHECK(parameters.norms == std::vector<float>{3.5f, 2});
  CHECK(parameters.weights == std::vector<float>{8});
  REQUIRE(best.scores().size() == 4);
  CHECK(best.scores().front() == train::scored_step{0, -3});
  CHECK(best.scores().back() == train::scored_step{5, -1});
}

TEST_CASE("the start comes back where no step was better") {
  store parameters;
  train::best_point best(parameters, norms_train(), 1, [&] { return double{parameters.norms[1]}; });
  for (std::uint32_t step = 0; step != 3; ++step) {
    parameters.norms[1] -= 1;
    best(step + 1, 3);
  }
  CHECK(best.restore() == 0);
  CHECK(parameters.norms == std::vector<float>{1, 2});
}

TEST_CASE("what was best stays whole where the next best cannot be kept") {
  failing_store parameters;
  train::best_point best(parameters, per_group<bool>::all(true), 1, [&] { return double{parameters.norms[0]}; });
  parameters.norms = {2, 5};
  best(1, 3);
  parameters.norms = {3, 6};
  parameters.weights = {4};
  parameters.fails = true;
  CHECK_THROWS_AS(best(2, 3), std::bad_alloc);
  parameters.fails = false;
  CHECK(best.restore() == 1);
  CHECK(parameters.norms == std::vector<float>{2, 5});
  CHECK(parameters.weights == std::vector<float>{3});
}

TEST_CASE("scores that are no numbers are never the best") {
  store parameters;
  train::best_point best(parameters, norms_train(), 1, [&] { return std::nan(""); });
  parameters.norms = {2, 5};
  best(1, 1);
  CHECK(best.restore() == 0);
  CHECK(parameters.norms == std::vector<float>{1, 2});
}

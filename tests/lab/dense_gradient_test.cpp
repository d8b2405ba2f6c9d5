// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/dense_gradient.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zo/problems.hpp>
#include <zoqat/zo/directions/quantized.hpp>

#include <cstddef>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

TEST_CASE("an estimate as numbers: projected gradients times directions, tensor after tensor") {
  tensors store = assorted();
  const std::size_t n = store.values().size();
  CHECK(total_size(store) == n);
  const estimate<gaussian> e{{.seed = 3,
                              .step = 7,
                              .epsilon = {.weight = 0.5f, .smoothing = 0.25f, .norm = 2},
                              .half_difference = {1.5f, -0.75f}}};
  std::vector<double> out(n, 99);
  dense_gradient(e, store, out);
  std::size_t at = 0;
  store.for_each_parameter([&](const parameter& p) {
    const auto first = elements_of(gaussian{}, e.along(0), p.id, p.size());
    const auto second = elements_of(gaussian{}, e.along(1), p.id, p.size());
    const bool moves = p.group != parameter_group::step_row;  // whose epsilon is 0
    for (std::size_t i = 0; i != p.size(); ++i, ++at) {
      const double expected = moves ? (double{e.projected_gradient(0, p.group)} * double{first[i]} +
                                       double{e.projected_gradient(1, p.group)} * double{second[i]}) /
                                          2
                                    : 0;
      CHECK(out[at] == doctest::Approx(expected).epsilon(1e-12));
    }
  });
  CHECK(at == n);
}

TEST_CASE("it goes along what updates go along") {
  tensors store;
  store.add(parameter_group::weight, std::vector<float>(40));
  const quantized_gaussian elements(3);
  const estimate<quantized_gaussian> e{
      {.seed = 1, .step = 0, .epsilon = per_group<float>::all(1), .half_difference = {1}}, elements};
  std::vector<double> out(40), of_update(40), measured(40);
  dense_gradient(e, store, out);
  add_direction(elements.of_update(), e.along(0), per_group<double>::all(1), store, of_update);
  add_direction(elements, e.along(0), per_group<double>::all(1), store, measured);
  CHECK(out == of_update);
  CHECK(out != measured);
}

TEST_CASE("room of another size is refused") {
  tensors store = assorted();
  std::vector<double> small(3);
  const auto add = [&] { add_direction(gaussian{}, {}, {}, store, small); };
  zoqat::testing::check_mentions(zoqat::testing::message_of<value_error>(add), "room for 3 numbers");
}

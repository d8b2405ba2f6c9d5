// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <zo/problems.hpp>
#include <zoqat/core/lanes.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

#define ZOQAT_DISTRIBUTIONS gaussian, rademacher, either

namespace {

static_assert(lane_reader<lanes<gaussian>> && lane_reader<lanes<either>>);

per_group<float> scales(float weight) {
  auto all = per_group<float>::all(weight / 2);
  all.weight = weight;
  return all;
}

// The documented formula, element by element.
template <class Distribution>
std::vector<float> expected(const Distribution& elements, const parameter& p, const perturbation& point) {
  const std::vector<float> u = elements_of(elements, point.along, p.id, p.values.size());
  const float scale = point.scale[p.group];
  std::vector<float> at(p.values.begin(), p.values.end());
  if (scale == 0) return at;
  for (std::size_t i = 0; i != at.size(); ++i) {
    const float unit = p.unit.empty() ? 1.0f : p.unit[i / (at.size() / p.unit.size())];
    at[i] = add_product(at[i], scale * unit, u[i]);
  }
  return at;
}

// Directions alone, in pairs, in threes, apart from their partners, and lanes that stay.
std::vector<perturbation> assorted_points() {
  const direction a{1, 2, 0}, b{1, 2, 1}, c{1, 3, 0};
  return {{a, scales(0.1f)}, {a, scales(-0.1f)}, {b, scales(1e-3f)}, {a, scales(0.5f)},  {c, scales(0)},
          {c, scales(2)},    {c, scales(-2)},    {c, scales(1)},     {b, scales(-1e-3f)}};
}

template <class Lanes>
std::vector<float> read(const Lanes& all, const parameter& p, std::size_t first, std::size_t n) {
  std::vector<float> out(all.count() * n);
  all.read(p, first, n, out.data());
  return out;
}

}  // namespace

TEST_CASE("the partner is the same direction the other way, in every group") {
  const perturbation forward{{9, 8, 7}, scales(0.25f)};
  const perturbation back = -forward;
  CHECK(back.along == forward.along);
  for (const parameter_group group : all_parameter_groups) CHECK(back.scale[group] == -forward.scale[group]);
  CHECK((-back).scale == forward.scale);
}

TEST_CASE_TEMPLATE("a lane is the formula, bit for bit", Distribution, ZOQAT_DISTRIBUTIONS) {
  tensors store = assorted();
  const auto points = assorted_points();
  const lanes<Distribution> all(points);
  REQUIRE(all.count() == points.size());
  store.for_each_parameter([&](const parameter& p) {
    const auto out = read(all, p, 0, p.values.size());
    for (std::size_t lane = 0; lane != points.size(); ++lane) {
      const auto of_lane = std::span(out).subspan(lane * p.values.size(), p.values.size());
      CHECK(bits_of(of_lane) == bits_of(expected(Distribution(), p, points[lane])));
    }
  });
}

TEST_CASE_TEMPLATE("a tile is a part of the whole", Distribution, ZOQAT_DISTRIBUTIONS) {
  tensors store = assorted();
  const auto points = assorted_points();
  const lanes<Distribution> all(points);
  store.for_each_parameter([&](const parameter& p) {
    const std::size_t size = p.values.size();
    const auto whole = read(all, p, 0, size);
    for (const std::size_t first : {0u, 1u, 6u, 7u, 13u, 128u, 1023u, 1024u, 1025u, 2499u})
      for (const std::size_t n : {0u, 1u, 2u, 8u, 129u, 1024u, 1100u}) {
        if (first + n > size) continue;
        const auto tile = read(all, p, first, n);
        for (std::size_t lane = 0; lane != points.size(); ++lane)
          REQUIRE(bits_of(std::span(tile).subspan(lane * n, n)) ==
                  bits_of(std::span(whole).subspan(lane * size + first, n)));
      }
  });
}

TEST_CASE("a lane does not depend on the lanes beside it") {
  tensors store = assorted();
  store.add(parameter_group::weight, {-0.0f, 0.0f, -0.0f});  // adding zero to -0 gives +0
  std::vector<perturbation> points = assorted_points();
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), 0);
  const lanes<gaussian> all(points);
  for (int shuffle = 0; shuffle != 20; ++shuffle) {
    random::engine draw({.seed = 50, .step = static_cast<std::uint32_t>(shuffle), .use = random::purpose::data});
    for (std::size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[draw.below(static_cast<std::uint32_t>(i))]);
    std::vector<perturbation> shuffled;
    for (const std::size_t i : order) shuffled.push_back(points[i]);
    const lanes<gaussian> reordered(shuffled);
    store.for_each_parameter([&](const parameter& p) {
      const std::size_t n = p.values.size();
      const auto before = read(all, p, 0, n), after = read(reordered, p, 0, n);
      for (std::size_t i = 0; i != order.size(); ++i)
        REQUIRE(bits_of(std::span(after).subspan(i * n, n)) == bits_of(std::span(before).subspan(order[i] * n, n)));
    });
  }
}

TEST_CASE("an antithetic pair is exact: its offsets are each other's opposite") {
  tensors store;
  store.add(parameter_group::weight, std::vector<float>(500, 0.0f), floats(5, 1));
  const perturbation forward{{4, 4, 4}, scales(1e-3f)};
  const perturbation pair[] = {forward, -forward};
  store.for_each_parameter([&](const parameter& p) {
    const auto out = read(lanes<gaussian>(pair), p, 0, p.values.size());
    std::size_t opposite = 0;
    for (std::size_t i = 0; i != p.values.size(); ++i) opposite += out[i] == -out[i + p.values.size()] && out[i] != 0;
    CHECK(opposite == p.values.size());
  });
}

TEST_CASE("lanes that stay are the masters, bit for bit") {
  tensors store;
  store.add(parameter_group::weight, fragile());
  per_group<float> others = scales(1);
  others.weight = 0;
  const std::vector<perturbation> points{
      {{1, 1, 1}, {}}, {{1, 1, 1}, others}, {{1, 1, 1}, scales(1)}, {{2, 1, 1}, {}}};
  store.for_each_parameter([&](const parameter& p) {
    const auto out = read(lanes<gaussian>(points), p, 0, p.values.size());
    for (const std::size_t lane : {0u, 1u, 3u})
      CHECK(bits_of(std::span(out).subspan(lane * p.values.size(), p.values.size())) == bits_of(fragile()));
    CHECK(out[2 * p.values.size() + 8] != 1.0f);  // the lane that moves does
  });
}

TEST_CASE("reading leaves the masters as they are") {
  tensors store = assorted();
  store.add(parameter_group::weight, fragile());
  const auto before = bits_of(store.values());
  const auto points = assorted_points();
  store.for_each_parameter([&](const parameter& p) { (void)read(lanes<gaussian>(points), p, 0, p.values.size()); });
  CHECK(bits_of(store.values()) == before);
}

TEST_CASE("no lanes and no elements") {
  std::vector<float> values{1, 2, 3};
  const parameter p{.values = values};
  lanes<gaussian>({}).read(p, 0, 3, nullptr);
  const perturbation point{{1, 1, 1}, scales(1)};
  float untouched = 7;
  lanes<gaussian>({&point, 1}).read(p, 2, 0, &untouched);
  CHECK(untouched == 7);
}

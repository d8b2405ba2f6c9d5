// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/perturbation.hpp>

#include <doctest/doctest.h>
#include <zo/problems.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/params/lanes.hpp>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

#define ZOQAT_DISTRIBUTIONS gaussian, gaussian_ars, rademacher, runtime_distribution

namespace {

static_assert(lane_reader<lanes<gaussian>> && lane_reader<lanes<runtime_distribution>>);

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
  const lanes<Distribution> all({points, {}});
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
  const lanes<Distribution> all({points, {}});
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
  const lanes<gaussian> all({points, {}});
  for (int shuffle = 0; shuffle != 20; ++shuffle) {
    rng::engine draw({.seed = 50, .step = static_cast<std::uint32_t>(shuffle), .use = rng::purpose::data});
    for (std::size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[draw.below(static_cast<std::uint32_t>(i))]);
    std::vector<perturbation> shuffled;
    for (const std::size_t i : order) shuffled.push_back(points[i]);
    const lanes<gaussian> reordered({shuffled, {}});
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
    const auto out = read(lanes<gaussian>({pair, {}}), p, 0, p.values.size());
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
    const auto out = read(lanes<gaussian>({points, {}}), p, 0, p.values.size());
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
  store.for_each_parameter([&](const parameter& p) {
    (void)read(lanes<gaussian>({points, {}}), p, 0, p.values.size());
  });
  CHECK(bits_of(store.values()) == before);
}

TEST_CASE("no lanes and no elements") {
  std::vector<float> values{1, 2, 3};
  const parameter p{.values = values};
  lanes<gaussian>(lane_points<gaussian>{}).read(p, 0, 3, nullptr);
  const perturbation point{{1, 1, 1}, scales(1)};
  float untouched = 7;
  lanes<gaussian>({{&point, 1}, {}}).read(p, 2, 0, &untouched);
  CHECK(untouched == 7);
}

TEST_CASE_TEMPLATE("a sweep sees what a read writes, row by row, without writing it", Distribution,
                   ZOQAT_DISTRIBUTIONS) {
  tensors store = assorted();
  const auto points = assorted_points();
  const lanes<Distribution> all({points, {}});
  sweep_scratch scratch;
  store.for_each_parameter([&](parameter p) {
    if (p.values.empty()) return;
    p.row_size = p.unit.empty() ? p.values.size() : p.values.size() / p.unit.size();
    const std::size_t rows = p.values.size() / p.row_size;
    for (const std::size_t first : {std::size_t{0}, rows / 2}) {
      std::vector<std::size_t> seen(points.size(), 0);
      all.sweep_rows(p, first, rows - first, scratch,
                     [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
                       const auto out = read(all, p, (first + r) * p.row_size, p.row_size);
                       for (const lane_values& v : values) {
                         std::vector<float> row(v.values, v.values + p.row_size);
                         CHECK_FALSE(v.signs);  // nothing is said about where its parts begin
                         if (v.direction)
                           for (std::size_t i = 0; i != row.size(); ++i)
                             row[i] = add_product(row[i], v.scale, v.direction[i]);
                         CHECK(bits_of(row) == bits_of(std::span(out).subspan(lane * p.row_size, p.row_size)));
                         CHECK(seen[lane++]++ == r);
                       }
                     });
      for (const std::size_t n : seen) CHECK(n == rows - first);
    }
  });
}

namespace {

// Rademacher directions by one who cannot give signs, like most distributions.
struct numbers_only {
  static constexpr const char* name() noexcept { return "numbers only"; }
  template <class Kernels>
  static void fill(rng::stream s, std::uint64_t first, float* out, std::size_t n) noexcept {
    rademacher::fill<Kernels>(s, first, out, n);
  }
};
static_assert(distribution<numbers_only> && !sign_distribution<numbers_only>);

constexpr runtime_distribution by_choice{.is_gaussian = false};

}  // namespace

TEST_CASE("signs read what numbers read, bit for bit, wherever a part begins") {
  const auto points = assorted_points();
  const lanes<numbers_only> wanted({points, {}});
  const lanes<rademacher> found({points, {}});
  const lanes<runtime_distribution> chosen({points, by_choice});
  // No units, and rows that are a multiple of 16 or not.
  for (const std::size_t rows : {0u, 1u, 4u, 5u, 20u, 320u}) {
    tensors store;
    store.add(parameter_group::weight, floats(9600, 3), rows == 0 ? std::vector<float>() : floats(rows, 8));
    store[0][1000] = -0.0f;
    store.for_each_parameter([&](const parameter& p) {
      for (const std::size_t first : {0u, 1u, 16u, 480u, 2032u, 2048u, 4800u})
        for (const std::size_t n : {0u, 1u, 16u, 17u, 500u, 4800u}) {  // the last one in two chunks
          CAPTURE(rows);
          CAPTURE(first);
          CAPTURE(n);
          const auto numbers = bits_of(read(wanted, p, first, n));
          REQUIRE(bits_of(read(found, p, first, n)) == numbers);
          REQUIRE(bits_of(read(chosen, p, first, n)) == numbers);
        }
    });
  }
}

TEST_CASE("a sweep gives signs where parts begin at multiples of 16, and they are the numbers") {
  const auto points = assorted_points();
  const lanes<numbers_only> wanted({points, {}});
  const lanes<runtime_distribution> found({points, by_choice}), gaussians({points, {}});
  sweep_scratch scratch, other;
  for (const std::size_t row_size : {7u, 16u, 48u, 100u, 512u, 768u, 2400u, 9600u})
    for (const std::size_t granularity : {std::size_t{1}, row_size, std::gcd(row_size, std::size_t{32})}) {
      tensors store;
      const std::size_t rows = 9600 / row_size;
      store.add(parameter_group::weight, floats(rows * row_size, 3), floats(rows, 8));
      store.for_each_parameter([&](parameter p) {
        p.row_size = row_size, p.granularity = granularity;
        CAPTURE(row_size);
        CAPTURE(granularity);
        std::vector<std::vector<std::uint32_t>> seen(rows * points.size());  // [rows][lanes], in whatever order
        wanted.sweep_rows(p, 0, rows, other, [&](std::size_t r, std::size_t lane, std::span<const lane_values> all) {
          for (const lane_values& v : all) {
            std::vector<float> row(v.values, v.values + row_size);
            if (v.direction) simd::reference::add_scaled(v.values, v.direction, v.scale, row.data(), row_size);
            seen[r * points.size() + lane++] = bits_of(row);
          }
        });
        std::size_t found_rows = 0, with_signs = 0;
        found.sweep_rows(p, 0, rows, scratch, [&](std::size_t r, std::size_t lane, std::span<const lane_values> all) {
          for (const lane_values& v : all) {
            const bool moves = points[lane].scale.weight != 0, signs = static_cast<bool>(v.signs);
            REQUIRE(signs == (moves && granularity % packed_signs::granularity == 0));
            REQUIRE((v.direction != nullptr) == (moves && !signs));
            with_signs += signs;
            std::vector<float> row(v.values, v.values + row_size);
            if (v.signs) simd::reference::add_signs(v.values, v.signs, v.scale, row.data(), row_size);
            if (v.direction) simd::reference::add_scaled(v.values, v.direction, v.scale, row.data(), row_size);
            REQUIRE(bits_of(row) == seen[r * points.size() + lane++]);
            ++found_rows;
          }
        });
        CHECK(found_rows == seen.size());
        CHECK((with_signs != 0) == (granularity % packed_signs::granularity == 0));
        gaussians.sweep_rows(p, 0, rows, scratch, [&](std::size_t, std::size_t, std::span<const lane_values> values) {
          for (const lane_values& v : values) REQUIRE_FALSE(v.signs);
        });
      });
    }
}

TEST_CASE_TEMPLATE("lanes over compact masters are lanes over what these stand for", Distribution, gaussian,
                   rademacher) {
  const perturbation forward{{3, 1, 4}, per_group<float>::all(0.125f)};
  const std::vector<perturbation> points{forward, -forward, {{3, 1, 4}, {}}};
  const lanes<Distribution> all({points, {}});
  for (const master_format format : {master_format::bf16, master_format::int8}) {
    tensors start = assorted();
    start.add(parameter_group::weight, floats(3 * 5000, 7), floats(3, 8));  // rows of more than a chunk
    compact_tensors store(start, format);
    tensors wide = store.widened();
    std::vector<std::vector<float>> expected, read;
    wide.for_each_parameter([&](const parameter& p) {
      all.read(p, 0, p.size(), expected.emplace_back(p.size() * points.size()).data());
    });
    sweep_scratch scratch;
    store.for_each_parameter([&](const parameter& p) {
      const auto& wanted = expected[read.size()];
      all.read(p, 0, p.size(), read.emplace_back(p.size() * points.size()).data());
      if (p.row_size == 0) return;
      all.sweep_rows(p, 0, p.size() / p.row_size, scratch,
                     [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
                       for (std::size_t i = 0; i != values.size(); ++i)
                         for (std::size_t k = 0; k != p.row_size; ++k) {
                           const lane_values& v = values[i];
                           const float x = v.direction ? add_product(v.values[k], v.scale, v.direction[k])
                                           : v.signs   ? add_product(v.values[k], v.scale, v.signs[k])
                                                       : v.values[k];
                           if (x != wanted[(lane + i) * p.size() + r * p.row_size + k]) FAIL("another value");
                         }
                     });
    });
    CHECK(read == expected);
  }
}

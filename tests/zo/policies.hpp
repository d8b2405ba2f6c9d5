// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <zo/problems.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/params/lanes.hpp>
#include <zoqat/simd/reference.hpp>
#include <zoqat/zo/deferred_update.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/update.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

// What the tests of distributions and differences share. Directions are fixed: nothing here is left to chance.

namespace zoqat::zo::testing {

inline double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
inline std::vector<double> numbers(std::size_t n, std::uint32_t name) {
  const auto v = floats(n, name);
  return {v.begin(), v.end()};
}

/// Mean and its error of what was added.
struct sample {
  double sum = 0, squares = 0, count = 0;
  void add(double x) { sum += x, squares += x * x, ++count; }
  [[nodiscard]] double mean() const { return sum / count; }
  [[nodiscard]] double standard_error() const {
    return std::sqrt(std::max(0.0, squares / count - mean() * mean()) / count);
  }
};

/// A tensor per kind of case, those with units swept: matrices, one of them longer than what is made at a time and
/// one whose rows are signs' superblocks, a unit for each value, no rows, one value, none.
struct swept_tensors : tensors {
  swept_tensors() {
    add(parameter_group::weight, floats(21, 1), {0.5f, 0.001f, 3.0f});
    add(parameter_group::smoothing, floats(1, 2));
    add(parameter_group::clipping, {});
    add(parameter_group::weight, floats(2500, 3));
    add(parameter_group::step_row, floats(130, 4), std::vector<float>(130, 0.5f));
    add(parameter_group::weight, floats(9000, 6), {1.0f, 2.0f, 0.25f});
    add(parameter_group::weight, floats(4096, 7), {0.5f, 2.0f});
  }
  template <class F>
  void for_each_parameter(F&& f) {
    tensors::for_each_parameter([&](parameter p) {
      if (!p.unit.empty()) p.row_size = p.granularity = p.values.size() / p.unit.size();
      f(p);
    });
  }
};

/// The first n elements of a direction in `p`.
template <class Kernels = simd::default_kernels, class Distribution>
std::vector<float> filled(const Distribution& elements, const direction& along, const parameter& p,
                          std::uint64_t first, std::size_t n) {
  std::vector<float> u(n);
  fill_direction<Kernels>(elements, along, p, first, u.data(), n);
  return u;
}

/// Elements are functions of their place alone, the same by every backend, and another step, direction or tensor has
/// others.
template <class Distribution>
void check_elements(const Distribution& elements) {
  swept_tensors store;
  const direction along{77, 3, 1};
  store.for_each_parameter([&](const parameter& p) {
    const std::size_t size = p.size();
    const auto whole = filled(elements, along, p, 0, size);
    CHECK(bits_of(filled<simd::reference>(elements, along, p, 0, size)) == bits_of(whole));
    for (const std::size_t first : {0u, 1u, 7u, 16u, 100u, 2047u, 2048u, 4096u, 8999u})
      for (const std::size_t n : {0u, 1u, 2u, 63u, 2048u, 4500u}) {
        if (first + n > size) continue;
        REQUIRE(bits_of(filled(elements, along, p, first, n)) == bits_of(std::span(whole).subspan(first, n)));
      }
    if (size < 100) return;
    CHECK(filled(elements, {78, 3, 1}, p, 0, size) != whole);
    CHECK(filled(elements, {77, 4, 1}, p, 0, size) != whole);
    CHECK(filled(elements, {77, 3, 0}, p, 0, size) != whole);
    parameter other = p;
    other.id += 100;
    CHECK(filled(elements, along, other, 0, size) != whole);
  });
}

/// Reads, sweeps, updates and updates on the way all go along the elements: θ + scale · unit ⊙ u bit for bit.
template <class Distribution>
void check_use(const Distribution& elements) {
  const planned_update u{
      .seed = 3, .step = 11, .gain = per_group<float>::all(0.01f), .half_difference = {0.5f, -2.25f}};
  swept_tensors wanted;
  wanted.for_each_parameter([&](const parameter& p) {
    for (std::uint32_t q = 0; q != u.half_difference.size(); ++q) {
      const auto along = filled(of_update(elements), {u.seed, u.step, q}, p, 0, p.size());
      const float scale = -(0.01f / 2.0f) * u.half_difference[q];
      for (std::size_t i = 0; i != p.size(); ++i)
        p.values[i] = add_product(p.values[i], scale * (p.unit.empty() ? 1 : p.unit[i / p.row_size]), along[i]);
    }
  });
  swept_tensors at_once, on_the_way;
  apply(update{u, elements}, at_once);
  CHECK(bits_of(at_once.values()) == bits_of(wanted.values()));

  thread_pool threads(1);
  deferred_update<> pending;
  pending.defer(update{u, elements}, on_the_way, threads);
  const perturbation forward{{3, 12, 0}, per_group<float>::all(0.1f)};
  const std::array pair{forward, -forward};
  const lanes<Distribution, simd::default_kernels, deferred_update<>> all({pair, elements}, &pending);
  sweep_scratch scratch;
  on_the_way.for_each_parameter([&](const parameter& p) {
    if (p.row_size == 0) return;
    const auto along = filled(elements, forward.along, p, 0, p.size());
    all.sweep_rows(p, 0, p.size() / p.row_size, scratch,
                   [&](std::size_t r, std::size_t lane, std::span<const lane_values> values) {
                     REQUIRE(lane == 0);
                     REQUIRE(values.size() == 2);
                     for (std::size_t i = 0; i != p.row_size; ++i)
                       for (const lane_values& v : values)
                         REQUIRE((v.signs ? v.signs[i] : v.direction[i]) == along[r * p.row_size + i]);
                   });
    std::vector<float> read(2 * p.size());
    all.read(p, 0, p.size(), read.data());
    for (std::size_t i = 0; i != p.size(); ++i)
      REQUIRE(read[i] == add_product(p.values[i], 0.1f * p.unit[i / p.row_size], along[i]));
  });
  CHECK(bits_of(on_the_way.values()) == bits_of(wanted.values()));
}

/// ĝ: the mean over the directions of projected gradient times the direction that an update goes along.
template <class Store, class Distribution>
std::vector<double> gradient_of(const estimate<Distribution>& e, Store& store, const Distribution&) {
  std::vector<double> g;
  for (std::size_t i = 0; i != e.half_difference.size(); ++i) {
    const auto u = elements_of(store, of_update(e.distribution), e.along(i));
    g.resize(u.size());
    for (std::size_t j = 0; j != u.size(); ++j)
      g[j] += double{e.projected_gradient(i)} * u[j] / static_cast<double>(e.half_difference.size());
  }
  return g;
}

/// Moments of estimates: coordinate by coordinate, and of the squared length.
struct gradient_moments {
  std::vector<sample> of_element;
  sample power;

  void add(std::span<const double> estimated) {
    of_element.resize(estimated.size());
    for (std::size_t j = 0; j != estimated.size(); ++j) of_element[j].add(estimated[j]);
    power.add(dot(estimated, estimated));
  }
  /// The mean is `g` within five standard errors.
  void check_mean(std::span<const double> g) const {
    for (std::size_t j = 0; j != g.size(); ++j) {
      CAPTURE(j);
      CHECK(std::abs(of_element[j].mean() - g[j]) <= 5 * of_element[j].standard_error() + 1e-6);
    }
  }
  /// E‖ĝ‖² is what is expected within four standard errors, which are `accuracy` of it at most.
  void check_power(double expected, double accuracy) const {
    CHECK(std::abs(power.mean() - expected) <= 4 * power.standard_error() + 1e-6 * expected);
    CHECK(4 * power.standard_error() < accuracy * expected);
  }
};

/// Of exact slopes of the linear loss ⟨g, x⟩ along q directions of each step.
template <class Store, class Distribution>
gradient_moments linear_moments(Store& store, const Distribution& elements, std::span<const double> g,
                                std::uint32_t q, std::uint32_t steps) {
  gradient_moments result;
  for (std::uint32_t step = 0; step != steps; ++step) {
    std::vector<double> estimated(g.size());
    for (std::uint32_t i = 0; i != q; ++i) {
      const direction along{12, step, i};
      const double slope = dot(g, elements_of(store, elements, along)) / q;
      const auto u = elements_of(store, of_update(elements), along);
      for (std::size_t j = 0; j != g.size(); ++j) estimated[j] += slope * u[j];
    }
    result.add(estimated);
  }
  return result;
}

/// ⟨g, x⟩, times a factor that depends on the micro-batch.
struct linear {
  std::vector<double> g;
  std::vector<double> factors = {1};
  double operator()(std::span<const float> x, std::size_t micro_batch) const {
    double total = 0;
    for (std::size_t i = 0; i != g.size(); ++i) total += g[i] * double{x[i]};
    return total * factors[micro_batch];
  }
};

/// ½ Σ h_i x_i² + ½ ⟨c, x⟩² + ⟨b, x⟩: a quadratic whose Hessian is not diagonal.
struct quadratic {
  std::vector<double> h, c, b;
  double operator()(std::span<const float> point, std::size_t) const {
    const std::vector<double> x(point.begin(), point.end());
    double total = dot(b, x) + dot(c, x) * dot(c, x) / 2;
    for (std::size_t i = 0; i != x.size(); ++i) total += h[i] * x[i] * x[i] / 2;
    return total;
  }
  [[nodiscard]] std::vector<double> gradient(std::span<const float> point) const {
    const std::vector<double> x(point.begin(), point.end());
    std::vector<double> g(x.size());
    for (std::size_t i = 0; i != x.size(); ++i) g[i] = h[i] * x[i] + c[i] * dot(c, x) + b[i];
    return g;
  }
};

/// One tensor of n zeros.
inline tensors at_origin(std::size_t n) {
  tensors t;
  t.add(parameter_group::weight, std::vector<float>(n, 0.0f));
  return t;
}

/// A power of two: ε · u is exact.
inline constexpr float fine = 0x1p-10f;

/// Two tensors, of 3 rows of 4 and of 4 values: 16 in all.
struct small_matrix_and_vector : tensors {
  small_matrix_and_vector() {
    add(parameter_group::weight, std::vector<float>(12, 0.0f), {1.0f, 1.0f, 1.0f});
    add(parameter_group::norm, std::vector<float>(4, 0.0f));
  }
};

}  // namespace zoqat::zo::testing

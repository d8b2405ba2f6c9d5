// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>
#include <zoqat/core/executor.hpp>
#include <zoqat/lab/normal.hpp>
#include <zoqat/lab/point_objective.hpp>
#include <zoqat/lab/variance.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

// What the tests of closed forms share: an estimator measured on a small problem, on fixed counters.

namespace zoqat::zo::testing {

/// Some hundred intervals have to hold, so that each has to be a wide one. A sanitized sample takes ten times as
/// long; with few of them squared errors are not normal yet, and intervals wider than the smaller number makes them.
#ifdef NDEBUG
inline constexpr std::uint64_t full_sample = 250'000;
inline constexpr double confidence = 0.9999;
#else
inline constexpr std::uint64_t full_sample = 20'000;
inline constexpr double confidence = 0.99999;
#endif

/// A point in one tensor.
struct point_store {
  std::vector<float> values;
  parameter_list parameters;

  explicit point_store(std::vector<float> at) : values(std::move(at)) { parameters.add("x", values); }
  point_store(const point_store&) = delete;
  point_store& operator=(const point_store&) = delete;
};

inline thread_pool& measuring_threads() {
  static thread_pool pool(2);
  return pool;
}

/// Measures `estimator` on f(point) or f(point, micro_batch) against `truth`.
template <class Estimator, class F>
lab::estimator_error measured(const Estimator& estimator, parameter_list& parameters, const F& f,
                              std::span<const double> truth, const lab::sampling& how = {.samples = full_sample}) {
  const auto make = [&] { return lab::point_objective<parameter_list, F>(parameters, f); };
  return lab::measure(estimator, parameters, make, truth, how, measuring_threads());
}
template <class Estimator, class F>
lab::estimator_error measured(const Estimator& estimator, std::vector<float> at, const F& f,
                              std::span<const double> truth, const lab::sampling& how = {.samples = full_sample}) {
  point_store store(std::move(at));
  return measured(estimator, store.parameters, f, truth, how);
}

/// Measures the mean of q estimates of one direction, each of a step of its own, and so with data of its own too.
template <class Estimator, class F>
lab::estimator_error measured_apart(const Estimator& one, std::vector<float> at, const F& f,
                                    std::span<const double> truth, std::uint32_t q) {
  point_store store(std::move(at));
  const auto make = [&] {
    return [&, loss = lab::point_objective(store.parameters, f), part = std::vector<double>(truth.size())](
               std::uint32_t step, std::span<double> out) mutable {
      std::ranges::fill(out, 0.0);
      for (std::uint32_t k = 0; k != q; ++k) {
        loss.select(step * q + k);
        lab::dense_gradient(one(step * q + k, loss), store.parameters, part);
        for (std::size_t i = 0; i != out.size(); ++i) out[i] += part[i] / q;
      }
      return true;
    };
  };
  return lab::measure_samples(truth, make, {.samples = full_sample}, measuring_threads());
}

/// Checks that `expected` lies in the interval of a figure, and shows both where it does not. The interval is at 99
/// %.
inline void check_within(const lab::interval& measured, double expected) {
  const double factor = lab::normal::upper_quantile((1 - confidence) / 2) / lab::normal::upper_quantile(0.005);
  INFO("measured ", measured.center, " +- ", measured.half_width() * factor, ", expected ", expected);
  CHECK(std::abs(measured.center - expected) <= measured.half_width() * factor);
}
inline void check_unbiased(const lab::estimator_error& error) {
  const lab::interval norm = error.bias_norm(confidence);
  INFO("bias ", norm.center, ", at least ", norm.low);
  CHECK(norm.low == 0);
}

/// ⟨g, x⟩.
struct inner_product {
  std::vector<double> g;
  double operator()(std::span<const float> x) const {
    double total = 0;
    for (std::size_t i = 0; i != g.size(); ++i) total += g[i] * double{x[i]};
    return total;
  }
};
inline double squared_norm(std::span<const double> g) {
  double total = 0;
  for (const double x : g) total += x * x;
  return total;
}

}  // namespace zoqat::zo::testing

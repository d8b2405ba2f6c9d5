// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/executor.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/zo/estimate.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::zo {

/// A step of the optimiser as a value: θ ← θ − gain[group] / q · Σ_i slope[i] · unit ⊙ u_i. Applying the same updates
/// in the same order to the same masters gives the same bits on every target and for any number of threads.
struct update {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  per_group<float> gain;     ///< learning rate over ε; 0 leaves the group alone
  std::vector<float> slope;  ///< (L⁺ − L⁻) / 2 of each direction, clipped; empty leaves everything alone
  float agreed_power = 0, power = 0;  ///< of the estimate: what an optimiser with a gauge needs to go on from a log

  /// The directions and slopes of an estimate, with no gain yet: what an optimiser starts its plan from.
  [[nodiscard]] static update along(const estimate& e) {
    return {e.seed, e.step, {}, e.slope, e.agreed_power, e.power};
  }
  friend bool operator==(const update&, const update&) = default;
};

namespace detail {

/// Moves numbers that are elements [first, first + n) of `p`, in place.
template <simd::kernels Kernels, distribution Distribution>
void move_values(const Distribution& elements, const update& u, const parameter& p, std::size_t first, std::size_t n,
                 float* values) noexcept {
  const auto moving = of_update(elements);
  for (std::uint32_t i = 0; i != u.slope.size(); ++i) {
    const float scale = -(u.gain[p.group] / static_cast<float>(u.slope.size())) * u.slope[i];
    perturb<Kernels>(moving, p, {u.seed, u.step, i}, {&scale, 1}, first, n, values, values, n);
  }
}

/// Moves elements [first, first + n) of `p`, in place. Compact masters are moved along all directions before they are
/// rounded, once.
template <simd::kernels Kernels, distribution Distribution>
void move(const Distribution& elements, const update& u, const parameter& p, std::size_t first,
          std::size_t n) noexcept {
  if (p.compact.size() == 0) return move_values<Kernels>(elements, u, p, first, n, p.values.data() + first);
  const random::stream noise{.seed = u.seed, .step = u.step, .tensor = p.id, .use = random::purpose::rounding};
  for_each_chunk<Kernels>(p, first, n, [&](std::size_t at, std::size_t count, float* values) {
    move_values<Kernels>(elements, u, p, at, count, values);
    store_masters<Kernels>(p, noise, at, count, values);
  });
}

}  // namespace detail

/// Applies `u` to the parameters of the store for which `wanted(parameter)` is true. Cost: q directions generated
/// once, one sweep over the masters.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution, parameter_store Store,
          class Executor, class Wanted>
  requires executor<std::remove_cvref_t<Executor>>
void apply_if(const Distribution& elements, const update& u, Store& parameters, Executor&& threads, Wanted&& wanted) {
  if (u.slope.empty()) return;
  std::vector<parameter> moving;
  parameters.for_each_parameter([&](const parameter& p) {
    if (u.gain[p.group] != 0 && p.size() != 0 && wanted(p)) moving.push_back(p);
  });
  // Pieces are whole superblocks of directions, stay in a core's cache for all q, and never follow the number of
  // threads.
  constexpr std::size_t piece = 16 * detail::chunk;
  std::vector<std::size_t> starts{0};
  for (const parameter& p : moving) starts.push_back(starts.back() + (p.size() + piece - 1) / piece);
  threads.parallel_for(starts.back(), [&](std::size_t task) {
    const auto which =
        static_cast<std::size_t>(std::upper_bound(starts.begin(), starts.end(), task) - starts.begin()) - 1;
    const parameter& p = moving[which];
    const std::size_t first = (task - starts[which]) * piece;
    detail::move<Kernels>(elements, u, p, first, std::min(piece, p.size() - first));
  });
}

/// Applies `u` to every parameter of the store.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution, parameter_store Store,
          class Executor = sequential>
  requires executor<std::remove_cvref_t<Executor>>
void apply(const Distribution& elements, const update& u, Store& parameters, Executor&& threads = {}) {
  apply_if<Kernels>(elements, u, parameters, threads, [](const parameter&) { return true; });
}

}  // namespace zoqat::zo

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

/// A step as numbers: θ ← θ − gain[group] / q · Σ_i half_difference[i] · unit ⊙ u_i. What an optimizer plans, and all
/// that a run log keeps.
struct planned_update {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  per_group<float> gain{};                  ///< learning rate over ε; 0 leaves the group alone
  std::vector<float> half_difference{};     ///< of each direction, clipped; empty leaves everything alone
  float signal_power = 0, total_power = 0;  ///< of the measurement: what an optimizer that tracks them needs to go on
  /// What the step went on without: direction · micro_batches + micro-batch of each, in order; see estimator::tell.
  std::vector<std::uint32_t> absent{};

  /// The directions and half differences of a measurement, with no gain yet: what an optimizer starts its plan from.
  [[nodiscard]] static planned_update along(const measurement& m) {
    return {m.seed, m.step, {}, m.half_difference, m.signal_power, m.total_power, m.absent};
  }
  friend bool operator==(const planned_update&, const planned_update&) = default;
};

/// The same with what its directions are drawn from, so that nobody has to name that again. Applying the same updates
/// in the same order to the same masters gives the same bits on every target and for any number of threads.
template <zo::distribution Distribution>
struct update : planned_update {
  [[no_unique_address]] Distribution distribution{};
};
template <class Distribution>
update(planned_update, Distribution) -> update<Distribution>;

namespace detail {

/// Moves numbers that are elements [first, first + n) of `p`, in place.
template <simd::kernels Kernels, distribution Distribution>
void move_values(const update<Distribution>& u, const parameter& p, std::size_t first, std::size_t n,
                 float* values) noexcept {
  const auto moving = of_update(u.distribution);
  for (std::uint32_t i = 0; i != u.half_difference.size(); ++i) {
    const float scale = -(u.gain[p.group] / static_cast<float>(u.half_difference.size())) * u.half_difference[i];
    perturb<Kernels>(moving, p, {u.seed, u.step, i}, {&scale, 1}, first, n, values, values, n);
  }
}

/// Moves elements [first, first + n) of `p`, in place. Compact masters are moved along all directions before they are
/// rounded, once.
template <simd::kernels Kernels, distribution Distribution>
void move_masters(const update<Distribution>& u, const parameter& p, std::size_t first, std::size_t n) noexcept {
  if (p.compact.size() == 0) return move_values<Kernels>(u, p, first, n, p.values.data() + first);
  const rng::stream noise{.seed = u.seed, .step = u.step, .tensor = p.id, .use = rng::purpose::rounding};
  for_each_chunk<Kernels>(p, first, n, [&](std::size_t at, std::size_t count, float* values) {
    move_values<Kernels>(u, p, at, count, values);
    store_masters<Kernels>(p, noise, at, count, values);
  });
}

}  // namespace detail

/// Applies `u` to the parameters of the store for which `wanted(parameter)` is true. All memory that it takes is
/// taken before anything moves. Cost: q directions generated once, one sweep over the masters.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution, parameter_store Store,
          class Executor, class Wanted>
  requires executor<std::remove_cvref_t<Executor>>
void apply_if(const update<Distribution>& u, Store& parameters, Executor&& threads, Wanted&& wanted) {
  if (u.half_difference.empty()) return;
  std::vector<parameter> moving;
  parameters.for_each_parameter([&](const parameter& p) {
    if (u.gain[p.group] != 0 && p.size() != 0 && wanted(p)) moving.push_back(p);
  });
  detail::pieces(moving).for_each(threads, [&](std::size_t which, std::size_t first, std::size_t n) {
    detail::move_masters<Kernels>(u, moving[which], first, n);
  });
}

/// Applies `u` to every parameter of the store.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution, parameter_store Store,
          class Executor = sequential>
  requires executor<std::remove_cvref_t<Executor>>
void apply(const update<Distribution>& u, Store& parameters, Executor&& threads = {}) {
  apply_if<Kernels>(u, parameters, threads, [](const parameter&) { return true; });
}

}  // namespace zoqat::zo

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/params/parameter.hpp>
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/zo/direction.hpp>
#include <zoqat/zo/estimate.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI::lab {

/// How many numbers all parameters of a store have.
template <parameter_store Store>
[[nodiscard]] std::size_t total_size(Store& parameters) {
  std::size_t n = 0;
  parameters.for_each_parameter([&](const parameter& p) { n += p.size(); });
  return n;
}

/// out += factor[group] · u, over all parameters of the store, tensor after tensor in its order. Throws value_error
/// unless `out` has `total_size(parameters)` elements.
template <simd::kernels Kernels = simd::default_kernels, zo::distribution Distribution, parameter_store Store>
void add_direction(const Distribution& distribution, const zo::direction& along, const per_group<double>& factor,
                   Store& parameters, std::span<double> out) {
  require(out.size() == total_size(parameters), "add_direction: room for {} numbers, but the parameters have {}",
          out.size(), total_size(parameters));
  alignas(alignment) std::array<float, 1024> u;
  std::size_t at = 0;
  parameters.for_each_parameter([&](const parameter& p) {
    for (std::size_t done = 0, n; done != p.size(); done += n) {
      n = std::min(p.size() - done, u.size());
      zo::fill_direction<Kernels>(distribution, along, p, done, u.data(), n);
      for (std::size_t i = 0; i != n; ++i) out[at + i] += factor[p.group] * static_cast<double>(u[i]);
      at += n;
    }
  });
}

/// Writes the gradient that an estimate stands for, (1/q) Σ_i slope[i]/ε · u_i, which nothing else in the library
/// ever makes. Parameters are measured in their units: component i is ∂L/∂(θ_i / unit). Groups that did not move get
/// 0. Directions are those that updates go along, `of_update(elements)`. `e` is not rejected. Cost: q directions.
template <simd::kernels Kernels = simd::default_kernels, zo::distribution Distribution, parameter_store Store>
void dense_gradient(const zo::estimate<Distribution>& e, Store& parameters, std::span<double> out) {
  std::ranges::fill(out, 0.0);
  for (std::size_t i = 0; i != e.half_difference.size(); ++i) {
    per_group<double> factor;
    for (const parameter_group group : all_parameter_groups)
      if (e.epsilon[group] != 0)
        factor[group] = static_cast<double>(e.half_difference[i]) /
                        (static_cast<double>(e.epsilon[group]) * static_cast<double>(e.half_difference.size()));
    add_direction<Kernels>(zo::of_update(e.distribution), e.along(i), factor, parameters, out);
  }
}

}  // namespace zoqat::lab

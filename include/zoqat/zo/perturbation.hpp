// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/lanes.hpp>
#include <zoqat/core/parameter.hpp>
#include <zoqat/zo/direction.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace zoqat::zo {

/// A point near the masters, as a value: θ + scale · unit ⊙ u, with one signed scale per group of parameters.
struct perturbation {
  direction along;
  per_group<float> scale;

  /// The antithetic partner: the same direction, the other way.
  [[nodiscard]] constexpr perturbation operator-() const noexcept {
    perturbation opposite = *this;
    for (const parameter_group group : all_parameter_groups) opposite.scale[group] = -scale[group];
    return opposite;
  }
};

namespace detail {

/// Elements generated at a time: one superblock of Gaussians and a few kilobytes of stack.
inline constexpr std::size_t chunk = 1024;

/// Calls f(first, n, factor) for the longest pieces of [first, first + n) of `p` that lie in one row, so that one
/// number, scale * unit of the row, serves the piece.
template <class F>
void for_each_row_piece(const parameter& p, float scale, std::size_t first, std::size_t n, F&& f) {
  if (p.unit.empty()) return f(first, n, scale);
  const std::size_t cols = p.values.size() / p.unit.size();
  for (const std::size_t end = first + n; first != end;) {
    const std::size_t row = first / cols, piece = std::min(end, (row + 1) * cols) - first;
    f(first, piece, scale * p.unit[row]);
    first += piece;
  }
}

}  // namespace detail

/// out[i] = p.values[first + i] + scale · unit · u[first + i] for each of `scales`, lane l at out[l * n]: one
/// generation of the direction serves all lanes, and none is needed where all scales are zero. The master values are
/// read, never written.
template <simd::kernels Kernels = simd::default_kernels, distribution Distribution>
void read_perturbed(const Distribution& elements, const parameter& p, const direction& along,
                    std::span<const float> scales, std::size_t first, std::size_t n, float* out) noexcept {
  bool moves = false;
  for (std::size_t lane = 0; lane != scales.size(); ++lane) {
    if (scales[lane] != 0) moves = true;
    else std::copy_n(p.values.data() + first, n, out + lane * n);  // bit by bit: -0 + 0 would be +0
  }
  if (!moves) return;
  alignas(alignment) std::array<float, detail::chunk> u;
  for (std::size_t done = 0; done != n;) {
    const std::size_t count = std::min(n - done, u.size());
    elements.template fill<Kernels>(along.of_tensor(p.id), first + done, u.data(), count);
    for (std::size_t lane = 0; lane != scales.size(); ++lane) {
      if (scales[lane] == 0) continue;
      float* const to = out + lane * n;
      detail::for_each_row_piece(p, scales[lane], first + done, count, [&](std::size_t at, std::size_t m, float s) {
        Kernels::add_scaled(p.values.data() + at, u.data() + (at - first - done), s, to + (at - first), m);
      });
    }
    done += count;
  }
}

/// The lanes of a set of perturbations, as a network reads them (a `lane_reader`). Neighbouring lanes that share a
/// direction share its generation, so an antithetic pair costs one.
template <distribution Distribution, simd::kernels Kernels = simd::default_kernels>
class lanes {
 public:
  explicit lanes(std::span<const perturbation> perturbations, Distribution elements = {}) noexcept
      : perturbations_(perturbations), elements_(elements) {}

  [[nodiscard]] std::size_t count() const noexcept { return perturbations_.size(); }

  void read(const parameter& p, std::size_t first, std::size_t n, float* out) const noexcept {
    for (std::size_t lane = 0; lane != count();) {
      std::array<float, 2> scales;
      std::size_t shared = 0;
      for (const direction& along = perturbations_[lane].along;
           shared != scales.size() && lane + shared != count() && perturbations_[lane + shared].along == along;
           ++shared)
        scales[shared] = perturbations_[lane + shared].scale[p.group];
      read_perturbed<Kernels>(elements_, p, perturbations_[lane].along, {scales.data(), shared}, first, n,
                              out + lane * n);
      lane += shared;
    }
  }

 private:
  std::span<const perturbation> perturbations_;
  [[no_unique_address]] Distribution elements_;
};

}  // namespace zoqat::zo

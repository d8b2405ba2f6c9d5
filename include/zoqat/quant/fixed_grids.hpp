// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/quant/clipping.hpp>
#include <zoqat/quant/row.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace zoqat::inline ZOQAT_ABI::quant {

/// Grids that stay what they are while weights move, as in fine-tuning (section 5.4): a scale and a byte each, two
/// more where the clipping policy bounds the codes, the scale alone where zero is in the middle, and a minimum in
/// place of the byte where grids have one; the parameters of a clipping policy take up to 16 bytes.
template <class Weight>
class fixed_grids {
 public:
  [[nodiscard]] bool empty() const noexcept { return scales_.empty(); }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return (scales_.size() + minima_.size()) * sizeof(scale_type) + zero_points_.size() +
           bounds_.size() * sizeof(code_bounds);
  }
  /// All that is held: f(std::span<const std::byte>). What fingerprints of runs are made of, where an empty span
  /// counts too: grids without minima give the three that they always gave.
  template <class F>
  void for_each_constant(F&& f) const {
    f(std::as_bytes(std::span(scales_)));
    f(std::as_bytes(std::span(zero_points_)));
    if constexpr (Weight::has_minima) f(std::as_bytes(std::span(minima_)));
    f(std::as_bytes(std::span(bounds_)));
  }
  void resize(std::size_t grids) {
    scales_.resize(grids);
    if constexpr (Weight::has_minima)
      minima_.resize(grids);
    else if constexpr (!centered)
      zero_points_.resize(grids);
    if constexpr (bounded) bounds_.resize(grids);
  }
  void set(std::size_t i, const code_grid& g) noexcept {
    scales_[i] = stored_scale<Weight>(g.grid.scale);
    if constexpr (Weight::has_minima)
      minima_[i] = stored_minimum<Weight>(g.grid.minimum);
    else if constexpr (!centered)
      zero_points_[i] = static_cast<std::uint8_t>(g.grid.zero_point);
    if constexpr (bounded) bounds_[i] = {g.least, g.greatest};
  }
  [[nodiscard]] code_grid operator[](std::size_t i) const noexcept {
    code_grid g{{static_cast<float>(scales_[i]), 1 << (Weight::bits - 1)}, 0, (1 << Weight::bits) - 1};
    if constexpr (Weight::has_minima)
      g.grid.zero_point = 0, g.grid.minimum = static_cast<float>(minima_[i]);
    else if constexpr (!centered)
      g.grid.zero_point = zero_points_[i];
    if constexpr (bounded) g.least = bounds_[i].least, g.greatest = bounds_[i].greatest;
    return g;
  }

 private:
  using scale_type = typename Weight::scale_type;
  static constexpr bool bounded = !Weight::clipping::follows_range;  ///< all others use all codes
  static constexpr bool centered = Weight::symmetric && !bounded;
  struct code_bounds {
    std::uint8_t least, greatest;
  };
  buffer<scale_type> scales_;
  buffer<std::uint8_t> zero_points_;
  buffer<scale_type> minima_;
  buffer<code_bounds> bounds_;
};

}  // namespace zoqat::quant

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/quant/clipping.hpp>
#include <zoqat/quant/row.hpp>

#include <cstddef>
#include <cstdint>

namespace zoqat::quant {

/// Grids that stay what they are while weights move, as in fine-tuning (section 5.4): 6 or 8 bytes each, where the
/// parameters of a clipping policy take up to 16.
template <class Weight>
class fixed_grids {
 public:
  [[nodiscard]] bool empty() const noexcept { return grids_.empty(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return grids_.size() * sizeof(stored); }
  void resize(std::size_t grids) { grids_.resize(grids); }
  void set(std::size_t i, const code_grid& g) noexcept {
    grids_[i] = {stored_scale<scale_type>(g.where.scale), static_cast<std::uint8_t>(g.where.zero_point), g.least,
                 g.greatest};
  }
  [[nodiscard]] code_grid operator[](std::size_t i) const noexcept {
    const stored& g = grids_[i];
    return {{static_cast<float>(g.scale), g.zero_point}, g.least, g.greatest};
  }

 private:
  using scale_type = typename Weight::scale_type;
  struct stored {
    scale_type scale;
    std::uint8_t zero_point, least, greatest;
  };
  buffer<stored> grids_;
};

}  // namespace zoqat::quant

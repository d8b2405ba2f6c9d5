// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/matrix.hpp>
#include <zoqat/nn/linear/float_tile.hpp>
#include <zoqat/nn/linear/linear_input.hpp>
#include <zoqat/nn/linear/tile_rows.hpp>
#include <zoqat/nn/linear/weight_tile.hpp>
#include <zoqat/nn/trainable.hpp>
#include <zoqat/nn/visit.hpp>
#include <zoqat/simd/kernels.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <variant>

namespace zoqat::inline ZOQAT_ABI::nn {

/// The weights [out, in] of a linear layer in full precision, which train and are deployed as they are.
class float_weight {
 public:
  using scratch = float_tile;
  static constexpr bool shared_by_lanes = false;

  explicit float_weight(trainable masters) : masters_(std::move(masters)) { masters_.sweep(masters_.cols()); }

  [[nodiscard]] trainable& masters() noexcept { return masters_; }
  [[nodiscard]] const trainable& masters() const noexcept { return masters_; }
  [[nodiscard]] std::size_t held_bytes() const noexcept {
    return masters_.bytes() + masters_.unit().size() * sizeof(float);
  }

  /// Takes memory for the masters, if they wait for it.
  void allocate() { masters_.allocate(); }

  template <class V>
  void visit(const std::string&, V&& v) {
    v.tensor(masters_, use::weight);
  }

  /// Nothing has to be known before the tiles of a pass.
  template <class Kernels, lane_reader Lanes>
  [[nodiscard]] std::monostate pass_grids(const Lanes&, const matrix<float>&) const noexcept {
    return {};
  }
  /// Reads the rows [first, first + count) on all lanes, smoothed.
  template <class Kernels, lane_reader Lanes, class Scheme>
  void make_tile(const Lanes& lanes, const linear_input<Scheme>& input, std::monostate, std::size_t first,
                 std::size_t count, scratch& to) const {
    const std::size_t in = masters_.cols();
    to.reset(lanes.count(), count, in);
    detail::sweep_tile<Kernels>(masters_, lanes, input.shifts, first, 0, count, count, to,
                                [&](std::size_t r, std::size_t first_lane, std::span<const lane_values> values) {
                                  for (std::size_t i = 0; i != values.size(); ++i) {
                                    const std::size_t lane = first_lane + i;
                                    Kernels::materialize(detail::smoothed_row(values[i], input.scales, lane), in,
                                                         to.row(lane, r));
                                  }
                                });
  }
  /// out [rows, count] = x · tile, and the epilogue, on one lane, where x are the rows of the input from `row` on.
  template <class Kernels, class Scheme>
  void multiply(const linear_input<Scheme>& input, std::size_t row, std::size_t tokens, std::size_t lane,
                epilogue finish, matrix_view<float> out, scratch& from, simd::prefetch_hint) const {
    from.template multiply<Kernels>(input.values.row_block(row, out.rows()), tokens, lane, finish, out);
  }
  [[nodiscard]] simd::prefetch_hint memory(std::size_t first, std::size_t count) const noexcept {
    return masters_.memory(first, count);
  }

 private:
  trainable masters_;
};

}  // namespace zoqat::nn

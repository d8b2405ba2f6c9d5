// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/packing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace zoqat::quant {

/// A weight matrix [out, in] in its final storage: bit-packed codes row by row (simd/packing.hpp), a scale per grid,
/// and a zero point per grid where the grid is asymmetric. Nothing else is stored.
template <class Weight>
class packed_matrix {
 public:
  using scale_type = typename Weight::scale_type;

  packed_matrix() = default;
  packed_matrix(std::size_t rows, std::size_t cols)
      : rows_(rows),
        cols_(cols),
        codes_(rows * row_bytes(), 0),
        scales_(grids(), scale_type(1.0f)),
        zero_points_(Weight::symmetric ? 0 : grids(), 0) {}

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] bool empty() const noexcept { return rows_ == 0; }
  /// Grids in one row; 1 for per_tensor, where all rows share it.
  [[nodiscard]] std::size_t groups() const noexcept { return Weight::groups(cols_); }
  /// Bytes of everything stored.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return codes_.size() + scales_.size() * sizeof(scale_type) + zero_points_.size();
  }

  [[nodiscard]] simd::grid grid(std::size_t row, std::size_t group) const noexcept {
    const std::size_t at = grid_index(row, group);
    return {static_cast<float>(scales_[at]), Weight::symmetric ? 1 << (Weight::bits - 1) : zero_points_[at]};
  }
  /// The codes of a row; `codes` has room for `cols()`.
  template <simd::kernels Kernels = simd::default_kernels>
  void codes(std::size_t row, std::uint8_t* codes) const noexcept {
    Kernels::template unpack<Weight::bits>(codes_.data() + row * row_bytes(), cols_, codes);
  }
  /// Stores a row: `cols()` codes and `groups()` grids.
  template <simd::kernels Kernels = simd::default_kernels>
  void set_row(std::size_t row, const std::uint8_t* codes, const simd::grid* grids) noexcept {
    Kernels::template pack<Weight::bits>(codes, cols_, codes_.data() + row * row_bytes());
    for (std::size_t group = 0; group != groups(); ++group) {
      const std::size_t at = grid_index(row, group);
      scales_[at] = stored_scale<scale_type>(grids[group].scale);
      if constexpr (!Weight::symmetric) zero_points_[at] = static_cast<std::uint8_t>(grids[group].zero_point);
    }
  }

  /// The storage itself, for files.
  [[nodiscard]] std::span<std::uint8_t> code_storage() noexcept { return codes_; }
  [[nodiscard]] std::span<const std::uint8_t> code_storage() const noexcept { return codes_; }
  [[nodiscard]] std::span<scale_type> scales() noexcept { return scales_; }
  [[nodiscard]] std::span<const scale_type> scales() const noexcept { return scales_; }
  [[nodiscard]] std::span<std::uint8_t> zero_points() noexcept { return zero_points_; }
  [[nodiscard]] std::span<const std::uint8_t> zero_points() const noexcept { return zero_points_; }

 private:
  [[nodiscard]] std::size_t row_bytes() const noexcept { return simd::packed_bytes(Weight::bits, cols_); }
  [[nodiscard]] std::size_t grids() const noexcept {
    return Weight::whole_tensor ? std::size_t{rows_ != 0} : rows_ * groups();
  }
  [[nodiscard]] std::size_t grid_index(std::size_t row, std::size_t group) const noexcept {
    return Weight::whole_tensor ? 0 : row * groups() + group;
  }

  std::size_t rows_ = 0, cols_ = 0;
  buffer<std::uint8_t> codes_;
  buffer<scale_type> scales_;
  buffer<std::uint8_t> zero_points_;
};

/// Quantizes a matrix [out, in]. `clipping` holds the parameters of the clipping policy, row after row and group
/// after group (one set for a per_tensor grid): none for `clip::none`. Throws value_error for another number of them.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
[[nodiscard]] packed_matrix<Weight> quantize(matrix_view<const float> weights, std::span<const float> clipping = {}) {
  packed_matrix<Weight> result(weights.rows(), weights.cols());
  const std::size_t wanted = result.scales().size() * Weight::clipping::parameters;
  require(clipping.size() == wanted, "quantize: {} clipping parameters for a matrix [{}, {}], which takes {}",
          clipping.size(), weights.rows(), weights.cols(), wanted);
  if (result.empty()) return result;
  buffer<std::uint8_t> codes(weights.cols(), 0);
  std::vector<simd::grid> grids(std::max<std::size_t>(result.groups(), 1));
  code_grid whole;
  if constexpr (Weight::whole_tensor) {
    simd::range r;
    for (std::size_t row = 0; row != weights.rows(); ++row) {
      const auto of_row = Kernels::min_max(weights.row(row).data(), weights.cols());
      r = {std::min(r.min, of_row.min), std::max(r.max, of_row.max)};
    }
    whole = grid_of<Weight>(r, clipping.data());
    grids[0] = whole.where;
  }
  for (std::size_t row = 0; row != weights.rows(); ++row) {
    if constexpr (Weight::whole_tensor) {
      quantize_on<Weight, Kernels>(weights.row(row), whole, codes.data());
    } else {
      const float* const p = clipping.data() + row * result.groups() * Weight::clipping::parameters;
      quantize_row<Weight, Kernels>(weights.row(row), p, codes.data(), grids.data());
    }
    result.template set_row<Kernels>(row, codes.data(), grids.data());
  }
  return result;
}

/// The weights of row `row`; `out` has room for `cols()`.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
void dequantize_row(const packed_matrix<Weight>& packed, std::size_t row, std::span<float> out) {
  buffer<std::uint8_t> codes(packed.cols(), 0);
  std::vector<simd::grid> grids(packed.groups());
  packed.template codes<Kernels>(row, codes.data());
  for (std::size_t group = 0; group != grids.size(); ++group) grids[group] = packed.grid(row, group);
  dequantize_row<Weight, Kernels>(codes, grids.data(), out.data());
}

/// The matrix [out, in] the codes stand for.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
[[nodiscard]] matrix<float> dequantize(const packed_matrix<Weight>& packed) {
  matrix<float> result(packed.rows(), packed.cols());
  for (std::size_t row = 0; row != packed.rows(); ++row)
    dequantize_row<Weight, Kernels>(packed, row, result.row(row));
  return result;
}

}  // namespace zoqat::quant

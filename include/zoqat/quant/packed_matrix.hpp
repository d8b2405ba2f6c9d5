// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/quant/row.hpp>
#include <zoqat/simd/packing.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::quant {

namespace detail {

/// Row j of a code panel.
inline void copy_row(const std::uint8_t* panel, std::size_t j, std::span<std::uint8_t> codes) noexcept {
  for (std::size_t i = 0; i != codes.size(); ++i) codes[i] = panel[i / 4 * simd::panel_row + j * 4 + i % 4];
}

}  // namespace detail

/// A weight matrix [out, in] in its final storage, as matrix products read it: packed panels of 16 rows
/// (simd/packing.hpp), the last one filled up with rows of zero codes; a scale per grid, and a zero point per grid
/// where the grid is asymmetric, or a minimum where it has one. Nothing else is stored. Grids go panel by panel too:
/// [panels][groups][16], or one for all for per_tensor.
template <class Weight>
class packed_matrix {
 public:
  using scale_type = typename Weight::scale_type;

  packed_matrix() = default;
  packed_matrix(std::size_t rows, std::size_t cols)
      : rows_(rows),
        cols_(cols),
        codes_(panels() * panel_bytes(), 0),
        scales_(grids(rows, cols), scale_type(1.0f)),
        zero_points_(has_zero_points ? grids(rows, cols) : 0, 0),
        minima_(Weight::has_minima ? grids(rows, cols) : 0, scale_type(0.0f)) {}

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] bool empty() const noexcept { return rows_ == 0; }
  /// Grids in one row; 1 for per_tensor, where all rows share it.
  [[nodiscard]] std::size_t groups() const noexcept { return Weight::groups(cols_); }
  [[nodiscard]] std::size_t panels() const noexcept { return panels(rows_); }
  [[nodiscard]] std::size_t panel_bytes() const noexcept { return simd::packed_panel_size(Weight::bits, cols_); }
  /// Bytes of everything stored, the filling of the last panel included.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes(rows_, cols_); }
  /// What a matrix of that size would take, without making one.
  [[nodiscard]] static constexpr std::size_t bytes(std::size_t rows, std::size_t cols) noexcept {
    return panels(rows) * simd::packed_panel_size(Weight::bits, cols) +
           grids(rows, cols) * (sizeof(scale_type) * (Weight::has_minima ? 2 : 1) + (has_zero_points ? 1 : 0));
  }

  /// The packed codes of rows [16 p, 16 p + 16).
  [[nodiscard]] const std::uint8_t* panel(std::size_t p) const noexcept { return codes_.data() + p * panel_bytes(); }
  [[nodiscard]] simd::grid grid(std::size_t row, std::size_t group) const noexcept {
    const std::size_t at = grid_index(row, group);
    simd::grid g{static_cast<float>(scales_[at]), Weight::has_minima ? 0 : 1 << (Weight::bits - 1)};
    if constexpr (has_zero_points) g.zero_point = zero_points_[at];
    if constexpr (Weight::has_minima) g.minimum = static_cast<float>(minima_[at]);
    return g;
  }
  /// Stores a grid: of a row and group, or the one of all.
  void set_grid(std::size_t row, std::size_t group, const simd::grid& g) noexcept {
    const std::size_t at = grid_index(row, group);
    scales_[at] = stored_scale<Weight>(g.scale);
    if constexpr (has_zero_points) zero_points_[at] = static_cast<std::uint8_t>(g.zero_point);
    if constexpr (Weight::has_minima) minima_[at] = stored_minimum<Weight>(g.minimum);
  }
  /// The codes of a row; `codes` has room for `cols()`. Costs the unpacking of its whole panel.
  template <simd::kernels Kernels = simd::default_kernels>
  void codes(std::size_t row, std::uint8_t* codes) const {
    read_rows<Kernels>(row, matrix_view<std::uint8_t>(codes, 1, cols_));
  }
  /// The codes of rows [first, first + codes.rows()). Each of their panels is unpacked once.
  template <simd::kernels Kernels = simd::default_kernels>
  void read_rows(std::size_t first, matrix_view<std::uint8_t> codes) const {
    require_rows("packed_matrix::read_rows", first, codes.rows(), codes.cols());
    buffer<std::uint8_t> unpacked(simd::code_panel_size(cols_));
    for (std::size_t r = 0; r != codes.rows(); ++r) {
      const std::size_t row = first + r, j = row % simd::panel_width;
      if (r == 0 || j == 0)
        Kernels::template unpack<Weight::bits>(panel(row / simd::panel_width), cols_, nullptr, unpacked.data());
      detail::copy_row(unpacked.data(), j, codes.row(r));
    }
  }
  /// Throws value_error for rows that the matrix does not have, or of another length: a check for each call, which
  /// unpacks 16 rows at least.
  void require_rows(const char* what, std::size_t first, std::size_t count, std::size_t cols) const {
    require(cols == cols_ && first <= rows_ && count <= rows_ - first,
            "{}: rows [{}, {}) of {} elements of a matrix [{}, {}]", what, first, first + count, cols, rows_, cols_);
  }
  /// Stores rows [first, first + codes.rows()), panel by panel: `first` is a multiple of 16, and so is the number of
  /// rows, or they are all that are left. `grids` holds groups() grids of each row.
  template <simd::kernels Kernels = simd::default_kernels>
  void set_rows(std::size_t first, matrix_view<const std::uint8_t> codes, const simd::grid* grids) {
    require_rows("packed_matrix::set_rows", first, codes.rows(), codes.cols());
    require(
        first % simd::panel_width == 0 && (codes.rows() % simd::panel_width == 0 || first + codes.rows() == rows_),
        "packed_matrix::set_rows: rows [{}, {}) of {} are not whole panels of {}", first, first + codes.rows(), rows_,
        simd::panel_width);
    buffer<std::uint8_t> unpacked(simd::code_panel_size(cols_));
    for (std::size_t r = 0; r < codes.rows(); r += simd::panel_width) {
      Kernels::pack_panel(codes.row_block(r, std::min(simd::panel_width, codes.rows() - r)), unpacked.data());
      Kernels::template pack<Weight::bits>(unpacked.data(), cols_,
                                           codes_.data() + (first + r) / simd::panel_width * panel_bytes());
    }
    for (std::size_t row = first; row != first + codes.rows(); ++row)
      for (std::size_t group = 0; group != groups(); ++group) set_grid(row, group, *grids++);
  }

  /// The storage itself, for files.
  [[nodiscard]] std::span<std::uint8_t> code_storage() noexcept { return codes_; }
  [[nodiscard]] std::span<const std::uint8_t> code_storage() const noexcept { return codes_; }
  [[nodiscard]] std::span<scale_type> scales() noexcept { return scales_; }
  [[nodiscard]] std::span<const scale_type> scales() const noexcept { return scales_; }
  [[nodiscard]] std::span<std::uint8_t> zero_points() noexcept { return zero_points_; }
  [[nodiscard]] std::span<const std::uint8_t> zero_points() const noexcept { return zero_points_; }
  [[nodiscard]] std::span<scale_type> minima() noexcept { return minima_; }
  [[nodiscard]] std::span<const scale_type> minima() const noexcept { return minima_; }
  /// Where the storage has the grid of a row and group; those of the 16 rows of a panel are neighbors.
  [[nodiscard]] std::size_t grid_index(std::size_t row, std::size_t group) const noexcept {
    if constexpr (Weight::whole_tensor)
      return 0;
    else
      return (row / simd::panel_width * groups() + group) * simd::panel_width + row % simd::panel_width;
  }

 private:
  [[nodiscard]] static constexpr std::size_t panels(std::size_t rows) noexcept {
    return (rows + simd::panel_width - 1) / simd::panel_width;
  }
  [[nodiscard]] static constexpr std::size_t grids(std::size_t rows, std::size_t cols) noexcept {
    return Weight::whole_tensor ? std::size_t{rows != 0} : panels(rows) * Weight::groups(cols) * simd::panel_width;
  }
  static constexpr bool has_zero_points = !Weight::symmetric && !Weight::has_minima;

  std::size_t rows_ = 0, cols_ = 0;
  buffer<std::uint8_t> codes_;
  buffer<scale_type> scales_;
  buffer<std::uint8_t> zero_points_;
  buffer<scale_type> minima_;
};

namespace detail {

/// Throws value_error unless there are as many clipping parameters as a matrix takes, and they are finite.
template <class Weight>
void require_clipping(const char* what, matrix_view<const float> weights, std::span<const float> clipping) {
  const std::size_t grids =
      Weight::whole_tensor ? std::size_t{weights.rows() != 0} : weights.rows() * Weight::groups(weights.cols());
  const std::size_t wanted = grids * Weight::clipping::parameters;
  require(clipping.size() == wanted, "{}: {} clipping parameters for a matrix [{}, {}], which takes {}", what,
          clipping.size(), weights.rows(), weights.cols(), wanted);
  for (std::size_t i = 0; i != clipping.size(); ++i)
    require(std::isfinite(clipping[i]), "{}: clipping parameter {} is {}", what, i, clipping[i]);
}

/// Throws value_error where a row of weights holds what is not finite. The common case costs one dot product.
template <class Kernels>
void require_finite_row(const char* what, std::size_t row, std::span<const float> weights) {
  if (std::isfinite(Kernels::dot(weights.data(), weights.data(), weights.size()))) return;
  for (std::size_t i = 0; i != weights.size(); ++i)  // or the squares were too large
    require(std::isfinite(weights[i]), "{}: weight ({}, {}) is {}", what, row, i, weights[i]);
}

/// Throws value_error where an output overlaps its input, unless it is the same rows.
inline void require_apart_or_same(const char* what, matrix_view<const float> from, matrix_view<float> to) {
  if (from.empty() || (from.data() == to.data() && from.stride() == to.stride())) return;
  constexpr std::less<const float*> before;
  const float* const from_end = from.row(from.rows() - 1).data() + from.cols();
  const float* const to_end = to.row(to.rows() - 1).data() + to.cols();
  require(!before(from.data(), to_end) || !before(to.data(), from_end),
          "{}: the output [{}, {}] overlaps its input; give it the same rows or others", what, to.rows(), to.cols());
}

/// The one grid of a per_tensor matrix.
template <class Weight, class Kernels>
[[nodiscard]] code_grid whole_tensor_grid(matrix_view<const float> weights, const float* clipping) {
  simd::range r;
  for (std::size_t row = 0; row != weights.rows(); ++row) {
    const auto of_row = Kernels::min_max(weights.row(row).data(), weights.cols());
    r = {std::min(r.min, of_row.min), std::max(r.max, of_row.max)};
  }
  return grid_of<Weight>(r, clipping);
}

}  // namespace detail

/// Quantizes a matrix [out, in]. `clipping` holds the parameters of the clipping policy, row after row and group
/// after group (one set for a per_tensor grid): none for `clip::none`. Throws value_error for another number of them.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
[[nodiscard]] packed_matrix<Weight> quantize(matrix_view<const float> weights, std::span<const float> clipping = {}) {
  packed_matrix<Weight> result(weights.rows(), weights.cols());
  const std::size_t groups = result.groups();
  detail::require_clipping<Weight>("quantize", weights, clipping);
  if (result.empty()) return result;
  code_grid whole;
  if constexpr (Weight::whole_tensor) whole = detail::whole_tensor_grid<Weight, Kernels>(weights, clipping.data());
  matrix<std::uint8_t> codes(simd::panel_width, weights.cols());
  std::vector<simd::grid> grids(simd::panel_width * groups, whole.grid);
  for (std::size_t first = 0; first < weights.rows(); first += simd::panel_width) {
    const std::size_t count = std::min(simd::panel_width, weights.rows() - first);
    for (std::size_t r = 0; r != count; ++r) {
      const auto row = weights.row(first + r);
      detail::require_finite_row<Kernels>("quantize", first + r, row);
      if constexpr (Weight::whole_tensor) {
        quantize_on<Weight, Kernels>(row, whole, codes.row(r).data());
      } else {
        const float* const p = clipping.data() + (first + r) * groups * Weight::clipping::parameters;
        quantize_row<Weight, Kernels>(row, p, codes.row(r).data(), grids.data() + r * groups);
      }
    }
    result.template set_rows<Kernels>(first, codes.view().row_block(0, count), grids.data());
  }
  return result;
}

/// The weights of rows [first, first + out.rows()). Throws value_error where the matrix has no such rows, or `out`
/// has another number of columns.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
void dequantize_rows(const packed_matrix<Weight>& packed, std::size_t first, matrix_view<float> out) {
  packed.require_rows("dequantize_rows", first, out.rows(), out.cols());
  matrix<std::uint8_t> codes(out.rows(), packed.cols());
  std::vector<simd::grid> grids(packed.groups());
  packed.template read_rows<Kernels>(first, codes);
  for (std::size_t r = 0; r != out.rows(); ++r) {
    for (std::size_t group = 0; group != grids.size(); ++group) grids[group] = packed.grid(first + r, group);
    dequantize_row<Weight, Kernels>(codes.row(r), grids.data(), out.row(r).data());
  }
}

/// The weights of row `row`; `out` has `cols()` elements, or value_error is thrown. Costs the unpacking of its whole
/// panel.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
void dequantize_row(const packed_matrix<Weight>& packed, std::size_t row, std::span<float> out) {
  dequantize_rows<Weight, Kernels>(packed, row, matrix_view<float>(out.data(), 1, out.size()));
}

/// The matrix [out, in] the codes stand for.
template <class Weight, simd::kernels Kernels = simd::default_kernels>
[[nodiscard]] matrix<float> dequantize(const packed_matrix<Weight>& packed) {
  matrix<float> result(packed.rows(), packed.cols());
  for (std::size_t first = 0; first < packed.rows(); first += simd::panel_width)
    dequantize_rows<Weight, Kernels>(
        packed, first, result.view().row_block(first, std::min(simd::panel_width, packed.rows() - first)));
  return result;
}

}  // namespace zoqat::quant

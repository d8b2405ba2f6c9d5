// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/error.hpp>
#include <zoqat/zo/direction.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace zoqat::inline ZOQAT_ABI::zo {

/// For a matrix u = UVᵀ / √r, U [rows, r] and V [cols, r] Gaussian, and for any other tensor Gaussian elements. A
/// matrix is a tensor with rows (`parameter::row_size`, or one unit for each row), at least two, of at least two
/// elements. The 1/√r makes E[uuᵀ] = I; without it (as in LOZO) the estimate is r times the gradient.
///
/// E‖ĝ‖² = (mn + 2 + 2(m + n + 1) / r)‖g‖² for one direction on a linear loss and an m × n matrix: more than Gaussian
/// elements have, and heavy-tailed at r = 1. What it buys is time: a row takes r numbers of its own and r additions,
/// and V is made once for the few rows that are worked on at a time.
class low_rank {
 public:
  /// Throws value_error for a rank of zero.
  explicit low_rank(std::size_t rank = 4) : rank_(rank) {
    require(rank > 0, "low_rank: a rank of 0; it must be at least 1");
    scale_ = static_cast<float>(1 / std::sqrt(static_cast<double>(rank)));
  }

  static constexpr const char* name() noexcept { return "low rank"; }
  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }

  template <class Kernels>
  void fill(const direction& along, const parameter& p, std::uint64_t first, float* out,
            std::size_t n) const noexcept {
    const rng::stream s = along.of_tensor(p.id);
    const std::size_t cols = columns_of(p);
    if (cols < 2 || p.size() < 2 * cols) return Kernels::gaussian(s, first, out, n);
    std::fill_n(out, n, 0.0f);
    for (std::size_t row = first / cols, end = (first + n + cols - 1) / cols; row < end; row += rows_at_a_time)
      for (std::size_t col = 0; col < cols; col += columns_at_a_time)
        add_tile<Kernels>(s, {p.size() / cols, cols}, {row, std::min(end - row, rows_at_a_time)},
                          {col, std::min(cols - col, columns_at_a_time)}, first, out, n);
  }
  friend bool operator==(const low_rank&, const low_rank&) = default;

 private:
  static constexpr std::size_t rows_at_a_time = 128, columns_at_a_time = 2048;
  struct shape {
    std::size_t rows, cols;
  };
  struct part {
    std::size_t first, count;
  };

  static std::size_t columns_of(const parameter& p) noexcept {
    return p.row_size != 0 ? p.row_size : p.unit.empty() ? p.size() : p.size() / p.unit.size();
  }

  /// Adds to what of [first, first + n) lies in a tile. The stream holds Uᵀ [r, rows] and then Vᵀ [r, cols].
  template <class Kernels>
  void add_tile(rng::stream s, shape whole, part rows, part cols, std::uint64_t first, float* out,
                std::size_t n) const noexcept {
    alignas(alignment) std::array<float, rows_at_a_time> u;
    alignas(alignment) std::array<float, columns_at_a_time> v;
    for (std::size_t k = 0; k != rank_; ++k) {
      Kernels::gaussian(s, k * whole.rows + rows.first, u.data(), rows.count);
      Kernels::gaussian(s, rank_ * whole.rows + k * whole.cols + cols.first, v.data(), cols.count);
      for (std::size_t row = 0; row != rows.count; ++row) {
        const std::uint64_t at = (rows.first + row) * whole.cols + cols.first;
        const std::uint64_t begin = std::max(at, first), end = std::min(at + cols.count, first + n);
        if (begin < end)
          Kernels::add_scaled(out + (begin - first), v.data() + (begin - at), u[row] * scale_, out + (begin - first),
                              end - begin);
      }
    }
  }

  std::size_t rank_;
  float scale_;
};

static_assert(shaped_distribution<low_rank>);

}  // namespace zoqat::zo

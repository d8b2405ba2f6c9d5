// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/params/masters.hpp>
#include <zoqat/params/parameter.hpp>

#include <cstddef>

namespace zoqat::inline ZOQAT_ABI {

/// A matrix of masters in any format, to be read by rows: a view.
class master_rows {
 public:
  /// Views a matrix whose rows lie one after the other.
  master_rows(const matrix<float>& m) noexcept : rows_(m.rows()), cols_(m.cols()) {
    masters_.values = const_cast<matrix<float>&>(m).flat();  // only ever read
  }
  master_rows(const parameter& p, std::size_t rows, std::size_t cols) noexcept
      : masters_(p), rows_(rows), cols_(cols) {}

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }

  /// Rows [first, first + count) as numbers: where they lie, or in `room`.
  template <simd::kernels Kernels>
  [[nodiscard]] matrix_view<const float> read(std::size_t first, std::size_t count, buffer<float>& room) const {
    if (masters_.compact.size() != 0) room.resize(count * cols_);
    return {masters<Kernels>(masters_, first * cols_, count * cols_, room.data()), count, cols_};
  }

 private:
  parameter masters_;
  std::size_t rows_, cols_;
};

}  // namespace zoqat

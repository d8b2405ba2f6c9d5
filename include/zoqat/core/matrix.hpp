// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/aligned.hpp>

#include <cassert>
#include <cstddef>
#include <span>
#include <type_traits>

namespace zoqat::inline ZOQAT_ABI {

/// Non-owning row-major matrix [rows, cols]; `stride` elements from one row to the next.
template <class T>
class matrix_view {
 public:
  constexpr matrix_view() = default;
  constexpr matrix_view(T* data, std::size_t rows, std::size_t cols, std::size_t stride) noexcept
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {
    assert(stride >= cols);
  }
  constexpr matrix_view(T* data, std::size_t rows, std::size_t cols) noexcept : matrix_view(data, rows, cols, cols) {}
  /// A view of mutable elements is also a view of constant ones.
  template <class U>
    requires std::is_convertible_v<U (*)[], T (*)[]>
  constexpr matrix_view(const matrix_view<U>& other) noexcept
      : matrix_view(other.data(), other.rows(), other.cols(), other.stride()) {}

  [[nodiscard]] constexpr T* data() const noexcept { return data_; }
  [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] constexpr std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] constexpr std::size_t stride() const noexcept { return stride_; }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return rows_ * cols_; }
  [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }

  /// Row `r` as a span of `cols` elements.
  [[nodiscard]] constexpr std::span<T> row(std::size_t r) const noexcept {
    assert(r < rows_);
    return {data_ + r * stride_, cols_};
  }
  /// Rows [first, first + count).
  [[nodiscard]] constexpr matrix_view row_block(std::size_t first, std::size_t count) const noexcept {
    assert(first + count <= rows_);
    return {data_ + first * stride_, count, cols_, stride_};
  }
  /// Columns [first, first + count).
  [[nodiscard]] constexpr matrix_view col_block(std::size_t first, std::size_t count) const noexcept {
    assert(first + count <= cols_);
    return {rows_ == 0 ? data_ : data_ + first, rows_, count, stride_};  // without rows there may be no data
  }
  [[nodiscard]] constexpr T& operator()(std::size_t r, std::size_t c) const noexcept {
    assert(r < rows_ && c < cols_);
    return data_[r * stride_ + c];
  }

 private:
  T* data_ = nullptr;
  std::size_t rows_ = 0, cols_ = 0, stride_ = 0;
};

/// Owning row-major matrix [rows, cols], rows contiguous, storage aligned to 64 bytes.
template <class T>
class matrix {
 public:
  matrix() = default;
  /// Elements are uninitialized where T is trivial.
  matrix(std::size_t rows, std::size_t cols) : rows_(rows), cols_(cols) { data_.resize(rows * cols); }
  matrix(std::size_t rows, std::size_t cols, T value) : rows_(rows), cols_(cols), data_(rows * cols, value) {}

  /// Changes the shape; keeps the storage where it suffices. The elements' values are unspecified.
  void reshape(std::size_t rows, std::size_t cols) {
    rows_ = rows, cols_ = cols;
    data_.resize(rows * cols);
  }

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] std::size_t size() const noexcept { return data_.size(); }
  [[nodiscard]] bool empty() const noexcept { return data_.empty(); }
  [[nodiscard]] T* data() noexcept { return data_.data(); }
  [[nodiscard]] const T* data() const noexcept { return data_.data(); }
  [[nodiscard]] std::span<T> row(std::size_t r) noexcept { return view().row(r); }
  [[nodiscard]] std::span<const T> row(std::size_t r) const noexcept { return view().row(r); }
  [[nodiscard]] T& operator()(std::size_t r, std::size_t c) noexcept { return view()(r, c); }
  [[nodiscard]] const T& operator()(std::size_t r, std::size_t c) const noexcept { return view()(r, c); }
  [[nodiscard]] std::span<T> flat() noexcept { return {data_.data(), data_.size()}; }
  [[nodiscard]] std::span<const T> flat() const noexcept { return {data_.data(), data_.size()}; }
  [[nodiscard]] matrix_view<T> view() noexcept { return {data_.data(), rows_, cols_}; }
  [[nodiscard]] matrix_view<const T> view() const noexcept { return {data_.data(), rows_, cols_}; }
  operator matrix_view<T>() noexcept { return view(); }
  operator matrix_view<const T>() const noexcept { return view(); }

 private:
  std::size_t rows_ = 0, cols_ = 0;
  buffer<T> data_;
};

}  // namespace zoqat

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/matrix.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

using namespace zoqat;

namespace {

bool is_aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % alignment == 0; }

// 0, 1, 2, ... row by row.
matrix<int> counting(std::size_t rows, std::size_t cols) {
  matrix<int> m(rows, cols);
  std::iota(m.flat().begin(), m.flat().end(), 0);
  return m;
}

}  // namespace

TEST_CASE("a matrix is row-major and contiguous") {
  matrix<int> m = counting(3, 4);
  CHECK(m.rows() == 3);
  CHECK(m.cols() == 4);
  CHECK(m.size() == 12);
  CHECK(m(2, 1) == 9);
  CHECK(m.row(1)[3] == 7);
  CHECK(m.row(1).size() == 4);
  CHECK(m.data() == m.flat().data());
  m(0, 3) = -1;
  CHECK(std::as_const(m).flat()[3] == -1);
  CHECK(std::as_const(m)(0, 3) == -1);
  CHECK(std::as_const(m).row(0)[3] == -1);
}

TEST_CASE("storage is aligned whatever the shape") {
  for (const std::size_t n : {1u, 3u, 17u, 1000u}) {
    CHECK(is_aligned(matrix<std::uint8_t>(n, 1).data()));
    CHECK(is_aligned(matrix<float>(1, n).data()));
    CHECK(is_aligned(buffer<double>(n).data()));
  }
}

TEST_CASE("a value fills all elements, and a buffer's too") {
  const matrix<float> m(3, 5, 2.5f);
  for (const float x : m.flat()) CHECK(x == 2.5f);
  const buffer<float> b(7, 1.5f);
  for (const float x : b) CHECK(x == 1.5f);
}

TEST_CASE("resizing a buffer keeps what was there and writes nothing beyond it") {
  buffer<int> b(4, 7);
  b.reserve(8);
  b.resize(8);
  int* const beyond = b.data() + 4;
  for (int i = 0; i != 4; ++i) beyond[i] = 100 + i;
  b.resize(4);
  b.resize(8);  // within its capacity: a sweep of zeros would show
  CHECK(std::vector<int>(b.begin(), b.end()) == std::vector<int>{7, 7, 7, 7, 100, 101, 102, 103});
}

TEST_CASE("matrices without elements") {
  for (const auto& [rows, cols] : {std::pair{0u, 0u}, {0u, 5u}, {5u, 0u}}) {
    const matrix<float> m(rows, cols);
    CHECK(m.empty());
    CHECK(m.view().empty());
    CHECK(m.rows() == rows);
    CHECK(m.cols() == cols);
    CHECK(m.flat().empty());
    for (std::size_t r = 0; r != rows; ++r) CHECK(m.row(r).empty());
  }
  CHECK(matrix_view<float>().empty());
  CHECK(matrix<float>().empty());
}

TEST_CASE("reshape keeps the storage where it suffices") {
  matrix<float> m(4, 6);
  const float* const storage = m.data();
  m.reshape(2, 3);
  CHECK(m.rows() == 2);
  CHECK(m.size() == 6);
  m.reshape(3, 8);
  CHECK(m.data() == storage);
  CHECK(m.row(2).size() == 8);
}

TEST_CASE("views of blocks see the elements of the whole") {
  matrix<int> m = counting(4, 5);
  const matrix_view<int> whole = m;
  const matrix_view<int> block = whole.row_block(1, 2).col_block(2, 3);  // rows 1..2, columns 2..4
  CHECK(block.rows() == 2);
  CHECK(block.cols() == 3);
  CHECK(block.stride() == 5);
  CHECK(block.size() == 6);
  CHECK(block(0, 0) == 7);
  CHECK(block(1, 2) == 14);
  CHECK(block.row(1)[0] == 12);
  CHECK(block.row(1).size() == 3);
  block(1, 1) = -3;
  CHECK(m(2, 3) == -3);
  CHECK(whole.row_block(4, 0).empty());
  CHECK(whole.col_block(5, 0).empty());
  CHECK(matrix_view<int>(nullptr, 0, 8, 8).col_block(2, 3).cols() == 3);  // of no rows, and so of no data
  CHECK(whole.row_block(0, 4).size() == 20);
}

TEST_CASE("a view of mutable elements is one of constant ones, and never the other way") {
  matrix<int> m = counting(2, 3);
  const matrix_view<const int> view = m.view().col_block(1, 2);
  CHECK(view(1, 1) == 5);
  CHECK(view.stride() == 3);
  const matrix_view<const int> implicit = m;
  CHECK(implicit(1, 2) == 5);
  static_assert(!std::is_convertible_v<matrix_view<const int>, matrix_view<int>>);
  static_assert(!std::is_convertible_v<const matrix<int>&, matrix_view<int>>);
  static_assert(std::is_convertible_v<const matrix<int>&, matrix_view<const int>>);
}

TEST_CASE("copies own their elements and moves keep them") {
  matrix<int> m = counting(2, 2);
  matrix<int> copy = m;
  copy(0, 0) = 9;
  CHECK(m(0, 0) == 0);
  const int* const storage = m.data();
  const matrix<int> moved = std::move(m);
  CHECK(moved.data() == storage);
  CHECK(moved(1, 1) == 3);
}

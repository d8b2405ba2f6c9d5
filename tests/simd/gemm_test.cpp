// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/matrix.hpp>

#include <simd/backends.hpp>

#include <algorithm>
#include <utility>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

constexpr std::size_t row_counts[] = {0, 1, 2, 3, 5, 6, 7, 11, 12, 13, 23, 24, 25};
constexpr std::size_t depths[] = {0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 257};

// Widths of codes: every choice of the multiply-add, at both ends of its range.
using widths = std::integer_sequence<int, 11, 22, 33, 42, 24, 44, 55, 48, 84, 68, 77, 78, 87, 88>;

template <class F>
void for_each_widths(F f) {
  [&]<int... Pair>(std::integer_sequence<int, Pair...>) {
    (f(std::integral_constant<int, Pair / 10>{}, std::integral_constant<int, Pair % 10>{}), ...);
  }(widths{});
}

template <class K>
std::vector<float> panel_of(const std::vector<float>& w, std::size_t k) {
  std::vector<float> panel(float_panel_size(k));
  K::pack_panel(matrix_view<const float>(w.data(), panel_width, k), panel.data());
  return panel;
}

// What a kernel and the reference make of the same codes; the rows of a are `stride` apart.
template <class K, int ActivationBits, int WeightBits>
void check_codes(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& w, std::size_t m, std::size_t k,
                 std::size_t stride) {
  const matrix_view<const std::uint8_t> rows(a.data(), m, k, stride);
  std::vector<std::int32_t> row_sums(m), expected(m * panel_width);
  for (std::size_t r = 0; r != m; ++r) row_sums[r] = reference::sum(rows.row(r).data(), k);
  std::vector<std::uint8_t> panel(code_panel_size(k));
  K::pack_panel(matrix_view<const std::uint8_t>(w.data(), panel_width, k), panel.data());
  guarded<std::int32_t> sums(m * panel_width);
  reference::gemm_panel<ActivationBits, WeightBits>(rows, row_sums.data(), panel.data(), expected.data());
  K::template gemm_panel<ActivationBits, WeightBits>(rows, row_sums.data(), panel.data(), sums.data());
  CHECK(sums.content() == expected);
  CHECK(sums.intact());
}

}  // namespace

TEST_CASE_TEMPLATE("pack_panel lays out floats", K, ZOQAT_BACKENDS) {
  for (const std::size_t k : depths)
    for (std::size_t rows = 0; rows <= panel_width; ++rows) {
      const std::size_t stride = k + 3;
      const auto w = floats(rows * stride, 1);
      std::vector<float> expected(float_panel_size(k));
      guarded<float> panel(expected.size());
      reference::pack_panel(matrix_view<const float>(w.data(), rows, k, stride), expected.data());
      K::pack_panel(matrix_view<const float>(w.data(), rows, k, stride), panel.data());
      CHECK(panel.content() == expected);
      CHECK(panel.intact());
    }
}

TEST_CASE_TEMPLATE("pack_panel lays out codes", K, ZOQAT_BACKENDS) {
  for (const std::size_t k : depths)
    for (std::size_t rows = 0; rows <= panel_width; ++rows) {
      const std::size_t stride = k + (rows % 2);
      auto w = codes(rows * stride, 8, 2);
      std::vector<std::uint8_t> expected(code_panel_size(k));
      guarded<std::uint8_t> panel(expected.size());
      reference::pack_panel(matrix_view<const std::uint8_t>(w.data(), rows, k, stride), expected.data());
      K::pack_panel(matrix_view<const std::uint8_t>(w.data(), rows, k, stride), panel.data());
      CHECK(panel.content() == expected);
      CHECK(panel.intact());
    }
}

TEST_CASE_TEMPLATE("gemm_panel in floats misses no term", K, ZOQAT_BACKENDS) {
  for (const std::size_t m : row_counts)
    for (const std::size_t k : depths)
      for (const std::size_t columns : {1u, 3u, 4u, 8u, 11u, 15u, 16u})
        for (const int start : {0, 1, 2}) {  // nothing, a bias, what c holds
          const std::size_t a_stride = k + 1, c_stride = columns + 2;
          const auto a = integers(m * a_stride, 3), w = integers(panel_width * k, 4), bias = integers(columns, 5);
          const auto panel = panel_of<K>(w, k);
          auto expected = integers(m * c_stride, 6);
          guarded<float> c(expected);
          const matrix_view<const float> rows(a.data(), m, k, a_stride);
          const float* const b = start == 1 ? bias.data() : nullptr;
          reference::gemm_panel(rows, panel.data(), b, start == 2, {expected.data(), m, columns, c_stride});
          K::gemm_panel(rows, panel.data(), b, start == 2, {c.data(), m, columns, c_stride});
          REQUIRE(c.content() == expected);  // what lies between the columns of two rows too
          REQUIRE(c.intact());
        }
}

TEST_CASE_TEMPLATE("gemm_panel in floats keeps its bound", K, ZOQAT_BACKENDS) {
  for (const std::size_t k : depths) {
    const std::size_t m = 13;
    const auto a = floats(m * k, 7, 3), w = floats(panel_width * k, 8), bias = floats(panel_width, 9);
    const auto panel = panel_of<K>(w, k);
    matrix<float> expected(m, panel_width), c(m, panel_width);
    const matrix_view<const float> rows(a.data(), m, k);
    reference::gemm_panel(rows, panel.data(), bias.data(), false, expected);
    K::gemm_panel(rows, panel.data(), bias.data(), false, c);
    for (std::size_t r = 0; r != m; ++r)
      for (std::size_t j = 0; j != panel_width; ++j) {
        double magnitude = std::abs(bias[j]);
        for (std::size_t i = 0; i != k; ++i) magnitude += std::abs(double{rows(r, i)} * w[j * k + i]);
        CHECK(close(c.view()(r, j), expected.view()(r, j), 2.0 * static_cast<double>(k + 1), magnitude));
      }
  }
}

TEST_CASE_TEMPLATE("gemm_panel in codes is exact", K, ZOQAT_BACKENDS) {
  for_each_widths([](auto activation_bits, auto weight_bits) {
    for (const std::size_t m : row_counts)
      for (const std::size_t k : depths)
        check_codes<K, activation_bits, weight_bits>(codes(m * (k + 1), activation_bits, 10),
                                                     codes(panel_width * k, weight_bits, 11), m, k, k + 1);
  });
}

TEST_CASE_TEMPLATE("gemm_panel in codes does not overflow", K, ZOQAT_BACKENDS) {
  for_each_widths([](auto activation_bits, auto weight_bits) {
    const auto top = [](int bits) { return static_cast<std::uint8_t>((1 << bits) - 1); };
    for (const std::size_t k : {1031u, 32768u}) {
      const std::vector<std::uint8_t> a(2 * k, top(activation_bits)), w(panel_width * k, top(weight_bits));
      check_codes<K, activation_bits, weight_bits>(a, w, 2, k, k);
      const std::vector<std::uint8_t> no_a(2 * k), no_w(panel_width * k);
      check_codes<K, activation_bits, weight_bits>(a, no_w, 2, k, k);
      check_codes<K, activation_bits, weight_bits>(no_a, w, 2, k, k);
    }
  });
}

TEST_CASE("the products of codes are those of the matrix") {
  const std::uint8_t a[] = {1, 2, 3, 4, 5}, w[] = {1, 0, 0, 0, 2, 15, 15, 15, 15, 15};
  std::uint8_t panel[code_panel_size(5)];
  std::int32_t sums[panel_width];
  const std::int32_t row_sum = 15;
  reference::pack_panel(matrix_view<const std::uint8_t>(w, 2, 5), panel);
  reference::gemm_panel<4, 4>(matrix_view<const std::uint8_t>(a, 1, 5), &row_sum, panel, sums);
  CHECK(sums[0] == 11);
  CHECK(sums[1] == 225);
  for (std::size_t j = 2; j != panel_width; ++j) CHECK(sums[j] == 0);
}

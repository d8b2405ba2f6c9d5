// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/numeric.hpp>

#include <simd/backends.hpp>
#include <support/data.hpp>

#include <algorithm>
#include <bit>
#include <type_traits>
#include <utility>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

constexpr std::size_t row_counts[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 17, 25};
constexpr std::size_t depths[] = {0, 1, 2, 3, 4, 5, 7, 8, 31, 63, 64, 65, 257};
constexpr std::size_t column_counts[] = {0, 1, 3, 4, 8, 11, 15, 16, 17, 31, 32, 33, 47, 48, 64, 65};

// A product of codes with its widths as values, so that what checks it is compiled once.
struct code_gemm {
  int activation_bits, weight_bits;
  void (*run)(matrix_view<const std::uint8_t> a, const grid* grids, const std::int32_t* row_sums,
              const std::uint8_t* panels, const column_dequantization& columns, const float* bias, bool accumulate,
              matrix_view<float> c);
};
template <class K, int ActivationBits, int WeightBits>
constexpr code_gemm code_gemm_of{
    ActivationBits, WeightBits,
    [](matrix_view<const std::uint8_t> a, const grid* grids, const std::int32_t* row_sums, const std::uint8_t* panels,
       const column_dequantization& columns, const float* bias, bool accumulate, matrix_view<float> c) {
      K::template gemm<ActivationBits, WeightBits>(a, grids, row_sums, panels, columns, bias, accumulate, c);
    }};

// Widths of codes: every choice of the multiply-add, at both ends of its range. One of each is sanitized.
using widths = std::conditional_t<zoqat::testing::is_slow_build, std::integer_sequence<int, 11, 44, 48, 84, 78, 88>,
                                  std::integer_sequence<int, 11, 22, 33, 42, 24, 44, 55, 48, 84, 68, 77, 78, 87, 88>>;
template <class K>
std::vector<code_gemm> code_gemms() {
  return []<int... Pair>(std::integer_sequence<int, Pair...>) {
    return std::vector{code_gemm_of<K, Pair / 10, Pair % 10>...};
  }(widths{});
}

// Where a product starts: from nothing, a bias, what c holds, or what c holds although there is a bias.
struct start {
  bool bias, accumulate;
};
constexpr start starts[] = {{false, false}, {true, false}, {false, true}, {true, true}};

constexpr std::size_t panels_of(std::size_t columns) { return (columns + panel_width - 1) / panel_width; }

// All panels of weights [n, k].
template <class T, class Panel>
void for_each_panel(const std::vector<T>& w, std::size_t n, std::size_t k, Panel pack) {
  for (std::size_t p = 0; p != panels_of(n); ++p)
    pack(p, matrix_view<const T>(w.data() + p * panel_width * k, std::min(panel_width, n - p * panel_width), k));
}
std::vector<float> float_panels(const std::vector<float>& w, std::size_t n, std::size_t k) {
  std::vector<float> panels(panels_of(n) * float_panel_size(k));
  for_each_panel(w, n, k, [&](std::size_t p, matrix_view<const float> rows) {
    reference::pack_panel(rows, panels.data() + p * float_panel_size(k));
  });
  return panels;
}

// c[m, n] = start + a[m, k] · w[n, k]ᵀ in integers, which every order of the sums gives exactly.
template <class K>
void check_floats(std::size_t m, std::size_t k, std::size_t n, start from) {
  const std::size_t a_stride = k + m % 3, c_stride = n + k % 4;
  const auto a = integers(m * a_stride, 3), w = integers(n * k, 4), bias = integers(n, 5);
  auto expected = integers(m * c_stride, 6);
  guarded<float> c(expected);
  for (std::size_t r = 0; r != m; ++r)
    for (std::size_t j = 0; j != n; ++j) {
      float& sum = expected[r * c_stride + j];
      sum = (from.accumulate ? sum : 0) + (from.bias ? bias[j] : 0.0f);
      for (std::size_t i = 0; i != k; ++i) sum += a[r * a_stride + i] * w[j * k + i];
    }
  const auto panels = float_panels(w, n, k);
  K::gemm(matrix_view<const float>(a.data(), m, k, a_stride), panels.data(), from.bias ? bias.data() : nullptr,
          from.accumulate, matrix_view<float>(c.data(), m, n, c_stride));
  REQUIRE(c.content() == expected);  // what lies between the columns of two rows too
  REQUIRE(c.intact());
}

// A product of codes: activations [m, k] and weights [n, k] with their grids.
struct code_product {
  code_gemm gemm;
  std::size_t m, k, n, stride;
  std::vector<std::uint8_t> a, w;
  std::vector<grid> rows, columns;

  code_product(const code_gemm& gemm_, std::size_t m_, std::size_t k_, std::size_t n_, std::uint32_t name)
      : gemm(gemm_),
        m(m_),
        k(k_),
        n(n_),
        stride(k_ + name % 3),
        a(codes(m_ * (k_ + name % 3), gemm.activation_bits, name)),
        w(codes(n_ * k_, gemm.weight_bits, name + 1)) {
    const auto scales = floats(m + n, name + 2, 0.3f);
    const auto zero_points = codes(m, gemm.activation_bits, name + 3);
    const auto of_columns = codes(n, gemm.weight_bits, name + 4);
    for (std::size_t r = 0; r != m; ++r) rows.push_back({0.4f + scales[r], zero_points[r]});
    for (std::size_t j = 0; j != n; ++j) columns.push_back({0.4f + scales[m + j], of_columns[j]});
  }

  [[nodiscard]] std::int64_t exact(std::size_t r, std::size_t j) const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i != k; ++i)
      sum += (a[r * stride + i] - rows[r].zero_point) * (w[j * k + i] - columns[j].zero_point);
    return sum;
  }

  // Zero points of columns that are zero once the offset is taken are given as zeros, or not at all.
  void check(start from, bool null_for_zeros) const {
    const std::size_t c_stride = n + m % 4, whole = panels_of(n) * panel_width;
    const auto bias = floats(n, 91, 20);
    auto expected = floats(m * c_stride, 92, 20);
    guarded<float> c(expected);
    for (std::size_t r = 0; r != m; ++r)
      for (std::size_t j = 0; j != n; ++j) {
        float& value = expected[r * c_stride + j];
        value = (from.accumulate ? value : 0) + (from.bias ? bias[j] : 0.0f);
        value += rounded(static_cast<float>(exact(r, j)) * (rows[r].scale * columns[j].scale));
      }

    // Columns that nobody reads hold anything.
    std::vector<float> scales(whole, not_a_number);
    std::vector<std::int32_t> sums(whole, 0x7fffffff), zero_points(whole, -0x7fffffff), row_sums(m);
    std::vector<std::uint8_t> panels(panels_of(n) * code_panel_size(k));
    for_each_panel(w, n, k, [&](std::size_t p, matrix_view<const std::uint8_t> of_panel) {
      reference::pack_panel(of_panel, panels.data() + p * code_panel_size(k));
    });
    bool zeros = true;
    for (std::size_t j = 0; j != n; ++j) {
      const std::int32_t offset = panel_offset(gemm.weight_bits, columns[j].zero_point);
      scales[j] = columns[j].scale;
      sums[j] = 0;
      zero_points[j] = columns[j].zero_point - offset;
      zeros = zeros && zero_points[j] == 0;
      for (std::size_t i = 0; i != k; ++i) sums[j] += w[j * k + i] - offset;
      std::uint8_t* const panel = panels.data() + j / panel_width * code_panel_size(k);
      for (std::size_t i = 0; i != (k + 3) / 4 * 4; ++i) {  // what fills up words too, as unpack does
        std::uint8_t& byte = panel[code_at(j % panel_width, i)];
        byte = static_cast<std::uint8_t>(byte - offset);
      }
    }
    for (std::size_t r = 0; r != m; ++r)
      for (std::size_t i = 0; i != k; ++i) row_sums[r] += a[r * stride + i];
    const bool none = zeros && null_for_zeros;

    gemm.run(matrix_view<const std::uint8_t>(a.data(), m, k, stride), rows.data(), none ? nullptr : row_sums.data(),
             panels.data(), {scales.data(), sums.data(), none ? nullptr : zero_points.data()},
             from.bias ? bias.data() : nullptr, from.accumulate, matrix_view<float>(c.data(), m, n, c_stride));
    bool same = true;
    const auto content = c.content();
    for (std::size_t i = 0; i != expected.size(); ++i)
      same = same && std::bit_cast<std::uint32_t>(content[i]) == std::bit_cast<std::uint32_t>(expected[i]);
    REQUIRE(same);
    REQUIRE(c.intact());
  }
};

}  // namespace

TEST_CASE_TEMPLATE("gemm in floats misses no term", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t m : row_counts)
    for (const std::size_t k : depths)
      for (const std::size_t n : column_counts)
        for (const start from : starts) check_floats<K>(m, k, n, from);
}

TEST_CASE_TEMPLATE("gemm in floats crosses the blocks of its cache", K, ZOQAT_BACKENDS) {
  check_floats<K>(3, 1031, 80, {true, false});
  check_floats<K>(140, 300, 18, {false, true});
  check_floats<K>(1, 4100, 16, {true, false});
  check_floats<K>(70, 2050, 33, {true, false});
}

TEST_CASE_TEMPLATE("gemm in floats leaves out what is below the depth of a", K, reference, ZOQAT_BACKENDS) {
  constexpr std::size_t m = 7, n = 37, depth = 9;
  const auto a = integers(m * depth, 3), w = integers(n * depth, 4);
  const auto panels = float_panels(w, n, depth);
  for (std::size_t k = 0; k <= depth; ++k) {
    std::vector<float> c(m * n), expected(m * n, 0.0f);
    for (std::size_t r = 0; r != m; ++r)
      for (std::size_t j = 0; j != n; ++j)
        for (std::size_t i = 0; i != k; ++i) expected[r * n + j] += a[r * depth + i] * w[j * depth + i];
    K::gemm(matrix_view<const float>(a.data(), m, k, depth), panels.data(), nullptr, false,
            matrix_view<float>(c.data(), m, n), depth);
    CHECK(c == expected);
  }
}

TEST_CASE_TEMPLATE("gemm in floats keeps its bound", K, reference, ZOQAT_BACKENDS) {
  constexpr std::size_t m = 13, n = 20;
  for (const std::size_t k : depths)
    for (const start from : starts) {
      const auto a = floats(m * k, 7, 3), w = floats(n * k, 8), bias = floats(n, 9), before = floats(m * n, 10);
      const auto panels = float_panels(w, n, k);
      auto c = before;
      K::gemm(matrix_view<const float>(a.data(), m, k), panels.data(), from.bias ? bias.data() : nullptr,
              from.accumulate, matrix_view<float>(c.data(), m, n));
      for (std::size_t r = 0; r != m; ++r)
        for (std::size_t j = 0; j != n; ++j) {
          double sum = (from.accumulate ? double{before[r * n + j]} : 0) + (from.bias ? double{bias[j]} : 0);
          double magnitude = std::abs(sum);
          for (std::size_t i = 0; i != k; ++i) {
            const double term = double{a[r * k + i]} * w[j * k + i];
            sum += term, magnitude += std::abs(term);
          }
          REQUIRE(close(c[r * n + j], static_cast<float>(sum), 2.0 * static_cast<double>(k + 2), magnitude));
        }
    }
}

TEST_CASE_TEMPLATE("gemm in codes is what the codes stand for, bit by bit", K, reference, ZOQAT_BACKENDS) {
  for (const code_gemm& gemm : code_gemms<K>()) {
    std::uint32_t name = 0;
    for (const std::size_t m : row_counts)
      for (const std::size_t k : depths)
        for (int i = 0; i != 3; ++i) {  // every number of columns and every start meets every shape sooner or later
          ++name;
          const std::size_t n = column_counts[name * 7 % std::size(column_counts)];
          code_product(gemm, m, k, n, 10 * name).check(starts[name % 4], name % 5 != 0);
        }
  }
}

TEST_CASE_TEMPLATE("gemm in codes starts from everything at every width", K, reference, ZOQAT_BACKENDS) {
  for (const code_gemm& gemm : code_gemms<K>())
    for (const start from : starts)
      for (const std::size_t n : column_counts) {
        const code_product product(gemm, 7, 37, n, 20);
        product.check(from, true);
        product.check(from, false);
      }
}

TEST_CASE_TEMPLATE("gemm in codes needs no sums of rows for symmetric weights of 8 bits", K, reference,
                   ZOQAT_BACKENDS) {
  code_product product(code_gemm_of<K, 8, 8>, 6, 70, 35, 30);
  for (grid& g : product.columns) g.zero_point = 128;
  for (const start from : starts) product.check(from, true);
}

TEST_CASE_TEMPLATE("gemm in codes crosses the blocks of its cache", K, ZOQAT_BACKENDS) {
  for (const code_gemm& gemm : {code_gemm_of<K, 4, 4>, code_gemm_of<K, 8, 4>, code_gemm_of<K, 8, 8>}) {
    code_product(gemm, 3, 2053, 80, 40).check({true, false}, true);
    code_product(gemm, 150, 260, 33, 41).check({false, true}, true);
    code_product(gemm, 2, 9001, 17, 42).check({false, false}, true);
  }
}

TEST_CASE_TEMPLATE("gemm in codes does not overflow", K, reference, ZOQAT_BACKENDS) {
  for (const code_gemm& gemm : code_gemms<K>()) {
    const int a_top = (1 << gemm.activation_bits) - 1, w_top = (1 << gemm.weight_bits) - 1;
    // Codes at an end with the zero point at one, and codes that jump from end to end. Each kind of row meets each
    // kind of column, so that the bytes of a sum are all at their least, all at their greatest, or by turns.
    struct kind {
      std::size_t period;  // of two ends; 0: all codes are at the bottom, 1: at the top
      bool high;           // the zero point is at the top
    };
    constexpr kind kinds[] = {{0, false}, {0, true}, {1, false}, {1, true},
                              {2, false}, {2, true}, {4, true},  {8, false}};
    const auto code = [](kind what, std::size_t i, int top) {
      const bool up = what.period < 2 ? what.period == 1 : i % what.period < what.period / 2;
      return static_cast<std::uint8_t>(up ? top : 0);
    };
    for (const std::size_t k : {1031u, 32768u}) {
      code_product product(gemm, std::size(kinds), k, 2 * std::size(kinds), 0);
      for (std::size_t r = 0; r != product.m; ++r) {
        product.rows[r].zero_point = kinds[r].high ? a_top : 0;
        for (std::size_t i = 0; i != k; ++i) product.a[r * product.stride + i] = code(kinds[r], i, a_top);
      }
      for (std::size_t j = 0; j != product.n; ++j) {
        const kind what = kinds[j % std::size(kinds)];
        product.columns[j].zero_point = what.high ? w_top : 0;
        for (std::size_t i = 0; i != k; ++i) product.w[j * k + i] = code(what, i + j / std::size(kinds), w_top);
      }
      product.check({false, false}, true);
    }
  }
}

TEST_CASE("a product of codes by hand") {
  // Activations 2 (a - 3), weights 0.5 (w - 1) and 4 (w - 15), of which the panel holds w - 1 and w - 15.
  const std::uint8_t a[] = {1, 2, 3, 4, 5};
  const std::int8_t w[2][5] = {{1, 0, 0, 0, 2}, {-15, -15, 0, -15, -14}};
  std::vector<std::uint8_t> panel(code_panel_size(5));
  for (std::size_t j = 0; j != 2; ++j)
    for (std::size_t k = 0; k != 5; ++k) panel[code_at(j, k)] = static_cast<std::uint8_t>(w[j][k]);
  const grid row{2.0f, 3};
  std::vector<float> scales(panel_width, 0.5f);
  scales[1] = 4;
  std::vector<std::int32_t> sums(panel_width);
  sums[0] = 3, sums[1] = -59;
  const float bias[] = {0.25f, 100};
  float c[2];
  const auto run = [&](const float* from, bool accumulate) {
    reference::gemm<4, 4>(matrix_view<const std::uint8_t>(a, 1, 5), &row, nullptr, panel.data(),
                          {scales.data(), sums.data(), nullptr}, from, accumulate, matrix_view<float>(c, 1, 2));
  };
  run(nullptr, false);  // (-2)·1 + 2·2 = 2 and 2·15 + 1·15 - 1·15 - 2·14 = 2
  CHECK(c[0] == 2.0f);
  CHECK(c[1] == 16.0f);
  run(bias, false);
  CHECK(c[0] == 2.25f);
  CHECK(c[1] == 116.0f);
  run(bias, true);
  CHECK(c[0] == 4.5f);
  CHECK(c[1] == 232.0f);
}

TEST_CASE("a product of codes of 8 bits by hand") {
  // One weight of 200 with its zero point at 130: the byte is 72, and 2 is left for the sum of the row.
  CHECK(panel_offset(8, 130) == 128);
  CHECK(panel_offset(7, 130) == 130);
  const std::uint8_t a[] = {10, 20};
  std::vector<std::uint8_t> panel(code_panel_size(2));
  panel[code_at(0, 0)] = 72;
  panel[code_at(0, 1)] = static_cast<std::uint8_t>(-128);  // code 0
  const grid row{1.0f, 5};
  const std::vector<float> scales(panel_width, 1.0f);
  std::vector<std::int32_t> sums(panel_width), zero_points(panel_width);
  sums[0] = -56, zero_points[0] = 2;
  const std::int32_t row_sum = 30;
  float c = 0;
  reference::gemm<8, 8>(matrix_view<const std::uint8_t>(a, 1, 2), &row, &row_sum, panel.data(),
                        {scales.data(), sums.data(), zero_points.data()}, nullptr, false,
                        matrix_view<float>(&c, 1, 1));
  CHECK(c == 5 * 70 - 15 * 130);
}

TEST_CASE_TEMPLATE("products of codes part by part are those of gemm, one after the other", K, reference,
                   ZOQAT_BACKENDS) {
  std::uint32_t name = 400;
  const auto check = [&]<int WeightBits>(std::size_t rows, std::size_t depth, std::size_t per_group, std::size_t k,
                                         std::size_t panels) {
    constexpr std::size_t stride = 3 * panel_width;
    const std::size_t parts = (k + depth - 1) / depth, groups = (parts + per_group - 1) / per_group;
    const auto a = codes(std::max<std::size_t>(1, rows) * (k + 3), 8, ++name);  // blocks of columns want an address
    auto bytes = codes(parts * panels * code_panel_size(depth), WeightBits, ++name);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(byte - (WeightBits < 8 ? 3 : 128));
    const auto scales = floats(parts * stride, ++name, 2), of_rows = floats(groups * rows, ++name);
    std::vector<std::int32_t> sums(parts * stride), zero_points(parts * stride), row_sums(parts * rows);
    for (std::size_t i = 0; i != sums.size(); ++i)
      sums[i] = static_cast<std::int32_t>(i % 501) - 250, zero_points[i] = static_cast<std::int32_t>(i % 3) - 1;
    for (std::size_t i = 0; i != row_sums.size(); ++i) row_sums[i] = static_cast<std::int32_t>(37 * i % 4001);
    matrix<grid> grids(groups, rows);
    for (std::size_t i = 0; i != grids.size(); ++i) grids.flat()[i] = {of_rows[i], 128};
    const auto before = floats(rows * stride, ++name, 9);
    for (const bool zeros : {true, false}) {
      if (!zeros && WeightBits < 8) continue;
      const code_parts operands{
          matrix_view<const std::uint8_t>(a.data(), rows, k, k + 3),
          grids.view(),
          zeros ? matrix_view<const std::int32_t>() : matrix_view<const std::int32_t>(row_sums.data(), parts, rows),
          depth,
          depth * per_group,
          bytes.data(),
          {scales.data(), sums.data(), zeros ? nullptr : zero_points.data()},
          stride};
      auto expected = before;
      for (std::size_t part = 0; part != parts; ++part) {
        const std::size_t count = std::min(depth, k - part * depth), at = part * stride;
        reference::gemm<8, WeightBits>(
            operands.a.col_block(part * depth, count), grids.row(part / per_group).data(),
            row_sums.data() + part * rows, bytes.data() + part * panels * code_panel_size(depth),
            {scales.data() + at, sums.data() + at, zeros ? nullptr : zero_points.data() + at}, nullptr, true,
            matrix_view<float>(expected.data(), rows, panels * panel_width, stride));
      }
      guarded<float> c(before);
      K::template add_parts<8, WeightBits>(operands,
                                           matrix_view<float>(c.data(), rows, panels * panel_width, stride));
      REQUIRE(c.content() == expected);
      REQUIRE(c.intact());
    }
  };
  for (const std::size_t rows : {0u, 1u, 2u, 5u, 6u, 13u})
    for (const std::size_t panels : {1u, 2u, 3u}) {
      check.template operator()<4>(rows, 32, 1, 70, panels);
      check.template operator()<4>(rows, 16, 4, 16 * 9 + 5, panels);
      check.template operator()<8>(rows, 32, 2, 97, panels);
      check.template operator()<8>(rows, 5, 1, 5, panels);
    }
  check.template operator()<4>(3, 8, 1, 0, 1);
}

TEST_CASE_TEMPLATE("products that are subtracted are rounded one by one, in their order", K, reference,
                   ZOQAT_BACKENDS) {
  std::uint32_t name = 900;
  for (const std::size_t rows : {0u, 1u, 2u, 3u, 5u, 9u})
    for (const std::size_t k : {0u, 1u, 3u, 17u})
      for (const std::size_t panels : {1u, 2u, 3u}) {
        constexpr std::size_t stride = 3 * panel_width + 5;
        const auto a = floats(std::max<std::size_t>(1, rows) * (k + 2), ++name);
        const auto b = floats(panels * float_panel_size(k), ++name), before = floats(rows * stride, ++name, 9);
        auto expected = before;
        for (std::size_t m = 0; m != rows; ++m)
          for (std::size_t j = 0; j != panels * panel_width; ++j)
            for (std::size_t i = 0; i != k; ++i) {
              const float w = b[j / panel_width * float_panel_size(k) + i * panel_width + j % panel_width];
              expected[m * stride + j] = expected[m * stride + j] - rounded(a[m * (k + 2) + i] * w);
            }
        guarded<float> c(before);
        K::subtract_products(matrix_view<const float>(a.data(), rows, k, k + 2), b.data(),
                             matrix_view<float>(c.data(), rows, panels * panel_width, stride));
        REQUIRE(c.content() == expected);
        REQUIRE(c.intact());
      }
}

TEST_CASE("a product of floats by hand") {
  const float a[] = {1, 2, 3, 4}, w[] = {10, 100}, bias[] = {0.5f};
  std::vector<float> panel(float_panel_size(2));
  reference::pack_panel(matrix_view<const float>(w, 1, 2), panel.data());
  float c[] = {1, 2};
  reference::gemm(matrix_view<const float>(a, 2, 2), panel.data(), bias, true, matrix_view<float>(c, 2, 1));
  CHECK(c[0] == 211.5f);
  CHECK(c[1] == 432.5f);
  reference::gemm(matrix_view<const float>(a, 2, 2), panel.data(), bias, false, matrix_view<float>(c, 2, 1));
  CHECK(c[0] == 210.5f);
  CHECK(c[1] == 430.5f);
  reference::gemm(matrix_view<const float>(a, 2, 2), panel.data(), nullptr, false, matrix_view<float>(c, 2, 1));
  CHECK(c[0] == 210);
  CHECK(c[1] == 430);
}

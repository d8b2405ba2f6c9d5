// SPDX-License-Identifier: Apache-2.0
#include <simd/backends.hpp>

#include <cmath>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

constexpr std::size_t depths[] = {0,  1,  2,  3,  4,  5,  7,  8,  15,  16,  17,  27,  28,   29,  31,
                                  32, 33, 36, 60, 63, 64, 65, 96, 127, 128, 129, 257, 1000, 4095};

/// A product of codes part by part with a packed panel, and with the same panel unpacked.
template <int ActivationBits, int WeightBits>
struct packed_problem {
  std::size_t rows, k, depth, group, weight_group;
  bool one_zero_point;

  std::size_t parts = (k + depth - 1) / depth, groups = (k + group - 1) / group;
  std::size_t weight_groups = (k + weight_group - 1) / weight_group, stride = k + 5;
  std::vector<std::uint8_t> a = codes(std::max<std::size_t>(1, rows) * stride, ActivationBits, 7);
  std::vector<std::uint8_t> panel = code_panel(k, WeightBits, 8), packed = pack(panel);
  std::vector<float> scales = floats(weight_groups * panel_width, 9), of_rows = floats(groups * rows, 10);
  std::vector<std::uint8_t> zero_points = codes(weight_groups * panel_width, WeightBits, 11);
  matrix<grid> grids = [this] {
    matrix<grid> all(groups, rows);
    const auto zeros = codes(groups * rows, ActivationBits, 12);
    for (std::size_t i = 0; i != all.size(); ++i) all.flat()[i] = {of_rows[i], ActivationBits == 8 ? 128 : zeros[i]};
    return all;
  }();
  matrix<std::int32_t> row_sums = [this] {
    matrix<std::int32_t> sums(parts, rows);
    for (std::size_t p = 0; p != parts; ++p)
      for (std::size_t m = 0; m != rows; ++m)
        sums(p, m) = reference::sum(inputs().row(m).data() + p * depth, std::min(depth, k - p * depth));
    return sums;
  }();
  std::vector<float> before = floats(rows * panel_width, 13, 9);

  static std::vector<std::uint8_t> pack(const std::vector<std::uint8_t>& codes_of_panel) {
    const std::size_t padded = codes_of_panel.size() / panel_width;
    std::vector<std::uint8_t> bytes(packed_panel_size(WeightBits, padded));
    reference::pack<WeightBits>(codes_of_panel.data(), padded, bytes.data());
    for (std::size_t i = 0; i != bytes.size(); ++i)  // columns that nothing may come of
      if (padded % block_depth != 0 && i >= bytes.size() - panel_row) bytes[i] |= 0x80;
    return bytes;
  }
  matrix_view<const std::uint8_t> inputs() const { return {a.data(), rows, k, stride}; }
  std::int32_t zero_point(std::size_t of_weights, std::size_t j) const {
    return one_zero_point ? 1 << (WeightBits - 1) : zero_points[of_weights * panel_width + j];
  }

  /// By add_parts of the reference.
  std::vector<float> expected() const {
    std::vector<std::uint8_t> panels;
    std::vector<float> column_scales;
    std::vector<std::int32_t> sums, offsets;
    for (std::size_t part = 0; part != parts; ++part) {
      const std::size_t first = part * depth, count = std::min(depth, k - first), of_weights = first / weight_group;
      std::vector<std::uint8_t> centered(code_panel_size(count));
      for (std::size_t j = 0; j != panel_width; ++j) {
        const std::int32_t offset = panel_offset(WeightBits, zero_point(of_weights, j));
        std::int32_t sum = 0;
        for (std::size_t i = 0; i != count; ++i) {
          const std::int32_t code = panel[code_at(j, first + i)] - offset;
          centered[code_at(j, i)] = static_cast<std::uint8_t>(code), sum += code;
        }
        sums.push_back(sum), offsets.push_back(zero_point(of_weights, j) - offset);
        column_scales.push_back(scales[of_weights * panel_width + j]);
      }
      panels.insert(panels.end(), centered.begin(), centered.end());
    }
    auto c = before;
    reference::add_parts<ActivationBits, WeightBits>(
        {inputs(),
         grids,
         WeightBits < 8 ? matrix_view<const std::int32_t>() : row_sums.view(),
         depth,
         group,
         panels.data(),
         {column_scales.data(), sums.data(), WeightBits < 8 ? nullptr : offsets.data()},
         panel_width},
        matrix_view<float>(c.data(), rows, panel_width));
    return c;
  }

  template <class K>
  void check() const {
    CAPTURE(ActivationBits);
    CAPTURE(WeightBits);
    CAPTURE(rows);
    CAPTURE(k);
    CAPTURE(depth);
    guarded<float> c(before);
    K::template add_packed_parts<ActivationBits, WeightBits>(
        {inputs(), grids, row_sums, depth, group, packed.data(), weight_group, scales.data(),
         one_zero_point ? nullptr : zero_points.data(), 1 << (WeightBits - 1)},
        matrix_view<float>(c.data(), rows, panel_width));
    REQUIRE(c.content() == expected());
    REQUIRE(c.intact());
  }
};

}  // namespace

TEST_CASE_TEMPLATE("gemv misses no term", K, reference, ZOQAT_BACKENDS) {
  for_each_width<1, 8>([](auto bits) {
    for (const std::size_t k : depths) {
      const auto panel = code_panel(k, bits, 1);
      const auto x = integers(k, 2);
      std::vector<std::uint8_t> bytes(packed_panel_size(bits, k));
      reference::pack<bits>(panel.data(), k, bytes.data());
      std::vector<float> expected(panel_width);
      for (std::size_t j = 0; j != panel_width; ++j)
        for (std::size_t i = 0; i != k; ++i) expected[j] += x[i] * static_cast<float>(panel[code_at(j, i)]);
      guarded<float> sums(panel_width);
      K::template gemv<bits>(x.data(), k, bytes.data(), sums.data());
      REQUIRE(sums.content() == expected);
      REQUIRE(sums.intact());
    }
  });
}

TEST_CASE_TEMPLATE("gemv keeps its bound", K, reference, ZOQAT_BACKENDS) {
  for_each_width<2, 8>([](auto bits) {
    for (const std::size_t k : depths) {
      const auto panel = code_panel(k, bits, 3);
      const auto x = floats(k, 4, 3);
      std::vector<std::uint8_t> bytes(packed_panel_size(bits, k));
      reference::pack<bits>(panel.data(), k, bytes.data());
      std::vector<float> sums(panel_width);
      K::template gemv<bits>(x.data(), k, bytes.data(), sums.data());
      for (std::size_t j = 0; j != panel_width; ++j) {
        double sum = 0, magnitude = 0;
        for (std::size_t i = 0; i != k; ++i) {
          const double term = double{x[i]} * panel[code_at(j, i)];
          sum += term, magnitude += std::abs(term);
        }
        REQUIRE(close(sums[j], static_cast<float>(sum), 2.0 * static_cast<double>(k + 1), magnitude));
      }
    }
  });
}

TEST_CASE_TEMPLATE("gemv reads the start of a deeper panel", K, reference, ZOQAT_BACKENDS) {
  for_each_width<2, 8>([](auto bits) {
    const auto panel = code_panel(64, bits, 5);
    std::vector<std::uint8_t> bytes(packed_panel_size(bits, 64));
    reference::pack<bits>(panel.data(), 64, bytes.data());
    for (std::size_t k = 0; k != 64; ++k) {
      const std::vector<float> x(k, 1);  // codes beyond k are there, and must not count
      std::vector<float> sums(panel_width);
      K::template gemv<bits>(x.data(), k, bytes.data(), sums.data());
      for (std::size_t j = 0; j != panel_width; ++j) {
        float expected = 0;
        for (std::size_t i = 0; i != k; ++i) expected += static_cast<float>(panel[code_at(j, i)]);
        REQUIRE(sums[j] == expected);
      }
    }
  });
}

TEST_CASE_TEMPLATE("codes times packed weights are the bits of the product with unpacked ones", K, reference,
                   ZOQAT_BACKENDS) {
  const auto check = []<int ActivationBits, int WeightBits>(std::size_t rows, std::size_t k, bool one_zero_point) {
    using problem = packed_problem<ActivationBits, WeightBits>;
    const auto of_sizes = [&](std::size_t depth, std::size_t group, std::size_t weight_group) {
      problem{rows, k, depth, group, weight_group, one_zero_point}.template check<K>();
    };
    of_sizes(k, k, k);
    of_sizes(16, 256, 16);
    of_sizes(32, 32, 64);
    of_sizes(48, 96, 48);
  };
  for_each_width<2, 8>([&](auto bits) {
    for (const std::size_t k : {1u, 5u, 16u, 31u, 32u, 49u, 64u, 70u, 257u})
      for (const std::size_t rows : {1u, 2u, 3u, 7u}) {
        check.template operator()<8, bits>(rows, k, rows % 2 == 0);
        if constexpr (bits == 4) check.template operator()<4, bits>(rows, k, rows % 2 != 0);
      }
  });
  check.template operator()<4, 4>(0, 32, true);
  check.template operator()<8, 8>(1, 4099, false);
}

TEST_CASE("codes times packed weights by hand") {
  std::vector<std::uint8_t> panel(code_panel_size(3)), bytes(packed_panel_size(2, 3));
  const std::uint8_t weights[] = {3, 0, 2}, inputs[] = {130, 127, 133};
  for (std::size_t k = 0; k != 3; ++k) panel[code_at(4, k)] = weights[k];
  reference::pack<2>(panel.data(), 3, bytes.data());
  const grid of_row{0.5f, 128};
  const std::int32_t row_sum = 390;
  const std::vector<float> scales(panel_width, 2.0f);
  std::vector<float> c(panel_width, 10.0f);
  reference::add_packed_parts<8, 2>(
      {matrix_view<const std::uint8_t>(inputs, 1, 3), matrix_view<const grid>(&of_row, 1, 1),
       matrix_view<const std::int32_t>(&row_sum, 1, 1), 3, 3, bytes.data(), 3, scales.data(), nullptr, 1},
      matrix_view<float>(c.data(), 1, panel_width));
  CHECK(c[4] == 10 + 2 * 2 + 1 + 5 * 1);
  CHECK(c[0] == 10 - (2 - 1 + 5));
}

TEST_CASE_TEMPLATE("groups add up what gemv makes of each, on its grid", K, reference, ZOQAT_BACKENDS) {
  // Integers and powers of two, so that every sum is exact.
  for_each_width<2, 8>([](auto bits) {
    for (const std::size_t group : {32u, 64u, 1000u})
      for (const std::size_t k : {1u, 32u, 70u, 257u})
        for (const bool minima : {false, true})
          for (const bool one_zero_point : {false, true}) {
            constexpr std::size_t stride = 3;
            const std::size_t groups = (k + group - 1) / group;
            const auto panel = code_panel(k, bits, 21);
            const auto packed = packed_problem<8, bits>::pack(panel);
            const auto x = integers(k, 22), least = integers(groups * panel_width, 23);
            const auto zero_points = codes(groups * panel_width, bits, 24);
            std::vector<float> scales(groups * panel_width), x_sums(groups * stride), expected = integers(16, 25);
            for (std::size_t i = 0; i != scales.size(); ++i) scales[i] = i % 3 == 0 ? 0.5f : 2.0f;
            guarded<float> totals(expected);
            for (std::size_t g = 0; g != groups; ++g)
              for (std::size_t i = g * group; i != std::min(k, (g + 1) * group); ++i) {
                x_sums[g * stride] += x[i];
                for (std::size_t j = 0; j != panel_width; ++j) {
                  const std::size_t at = g * panel_width + j;
                  const int zero_point = one_zero_point ? 3 : zero_points[at];
                  expected[j] += x[i] * scales[at] * static_cast<float>(panel[code_at(j, i)] - zero_point);
                  if (minima) expected[j] -= least[at] * x[i];
                }
              }
            K::template add_groups<bits>(
                {x.data(), k, group, packed.data(), x_sums.data(), stride, scales.data(),
                 one_zero_point ? nullptr : zero_points.data(), 3, minima ? least.data() : nullptr},
                totals.data());
            REQUIRE(totals.content() == expected);
            REQUIRE(totals.intact());
          }
  });
}

TEST_CASE("gemv by hand") {
  std::vector<std::uint8_t> panel(code_panel_size(5)), bytes(packed_panel_size(3, 5));
  const std::uint8_t first[] = {1, 2, 3, 4, 5}, last[] = {7, 0, 0, 0, 1};
  for (std::size_t k = 0; k != 5; ++k) panel[code_at(0, k)] = first[k], panel[code_at(15, k)] = last[k];
  reference::pack<3>(panel.data(), 5, bytes.data());
  const float x[] = {1, -1, 2, 0.5f, 10};
  float sums[panel_width];
  reference::gemv<3>(x, 5, bytes.data(), sums);
  CHECK(sums[0] == 57);
  CHECK(sums[15] == 17);
  for (std::size_t j = 1; j != 15; ++j) CHECK(sums[j] == 0);
}

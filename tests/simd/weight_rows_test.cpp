// SPDX-License-Identifier: Apache-2.0
#include <zoqat/core/numeric.hpp>

#include <simd/backends.hpp>

using namespace zoqat;
using namespace zoqat::simd;
using namespace zoqat::simd::testing;

namespace {

constexpr float huge = std::numeric_limits<float>::max();

// Weights with or without a direction and smoothing, and what they are by definition.
struct row_case {
  std::vector<float> values, direction, smoothing;
  float scale;

  row_case(std::size_t n, int kind, std::uint32_t name)
      : values(floats(n, name, 2)),
        direction(kind % 2 == 0 ? std::vector<float>() : floats(n, name + 1, 3)),
        smoothing(kind / 2 == 0 ? std::vector<float>() : floats(n, name + 2, 2)),
        scale(0.3f) {}

  weight_row row() const {
    return {values.data(), direction.empty() ? nullptr : direction.data(), scale,
            smoothing.empty() ? nullptr : smoothing.data()};
  }
  std::vector<float> meant() const {
    std::vector<float> all = values;
    for (std::size_t i = 0; i != all.size(); ++i) {
      if (!direction.empty()) all[i] += rounded(scale * direction[i]);
      if (!smoothing.empty()) all[i] = rounded(all[i] * smoothing[i]);
    }
    return all;
  }
};

// f(row) for every kind of row, at every size.
template <class F>
void for_each_row(F f) {
  std::uint32_t name = 0;
  for (const std::size_t n : sizes)
    for (int kind = 0; kind != 4; ++kind) f(row_case(n, kind, name += 3));
}

std::int32_t signed_sum(const std::vector<std::uint8_t>& bytes) {
  std::int32_t total = 0;
  for (const std::uint8_t byte : bytes) total += static_cast<std::int8_t>(byte);
  return total;
}

}  // namespace

TEST_CASE_TEMPLATE("materialize gives every value, each product rounded", K, reference, ZOQAT_BACKENDS) {
  for_each_row([](const row_case& w) {
    guarded<float> out(w.values.size());
    K::materialize(w.row(), w.values.size(), out.data());
    REQUIRE(out.content() == w.meant());
    REQUIRE(out.intact());
  });
}

TEST_CASE_TEMPLATE("min_max of a row of weights is that of its values", K, reference, ZOQAT_BACKENDS) {
  for_each_row([](const row_case& w) {
    const auto values = w.meant();
    const range expected = reference::min_max(values.data(), values.size());
    const range found = K::min_max(w.row(), values.size());
    REQUIRE(found.min == expected.min);
    REQUIRE(found.max == expected.max);
  });
  // Zero is in it, and NaN is not.
  std::vector<float> x(33, 2.0f);
  CHECK(K::min_max(weight_row{x.data()}, 33).min == 0);
  for (std::size_t i = 0; i != 33; ++i) {
    std::vector<float> y(33, not_a_number);
    y[i] = -2;
    CHECK(K::min_max(weight_row{y.data()}, 33).min == -2);
    CHECK(K::min_max(weight_row{y.data()}, 33).max == 0);
    y[i] = -infinity;
    CHECK(K::min_max(weight_row{y.data()}, 33).min == -infinity);
  }
}

TEST_CASE_TEMPLATE("quantize of a row of weights gives the bytes and the sum of the reference", K, ZOQAT_BACKENDS) {
  for_each_row([](const row_case& w) {
    const std::size_t n = w.values.size();
    for (int bits = 2; bits <= 8; ++bits)
      for (const bool symmetric : {false, true}) {
        const grid g = grid_of(reference::min_max(w.row(), n), bits, symmetric);
        const int top = (1 << bits) - 1;
        for (const auto& [least, greatest] : {std::pair{0, top}, {1, top - 1}, {top / 2, top / 2}})
          for (const int offset : {0, panel_offset(bits, g.zero_point)}) {
            const code_range r{g, least, greatest, offset, offset == 0 ? 0.0f : 0.7f / g.scale};
            std::vector<std::uint8_t> expected(n);
            guarded<std::uint8_t> bytes(n);
            const std::int32_t sum = reference::quantize(w.row(), n, r, expected.data());
            const std::int32_t found = K::quantize(w.row(), n, r, bytes.data());
            REQUIRE(bytes.content() == expected);
            REQUIRE(bytes.intact());
            if (bits < 8 || offset != 0) REQUIRE(found == sum);
          }
      }
  });
}

TEST_CASE_TEMPLATE("quantize of a row of weights is quantize of its values", K, reference, ZOQAT_BACKENDS) {
  for_each_row([](const row_case& w) {
    const std::size_t n = w.values.size();
    const auto values = w.meant();
    for (int bits = 2; bits <= 8; ++bits) {
      const grid g = grid_of(K::min_max(w.row(), n), bits, false);
      std::vector<std::uint8_t> expected(n), plain(n), less(n);
      reference::quantize(values.data(), n, g, bits, expected.data());
      K::quantize(w.row(), n, {g, 0, (1 << bits) - 1, 0}, plain.data());
      REQUIRE(plain == expected);
      const std::int32_t offset = panel_offset(bits, g.zero_point);
      const std::int32_t sum = K::quantize(w.row(), n, {g, 0, (1 << bits) - 1, offset}, less.data());
      for (auto& code : expected) code = static_cast<std::uint8_t>(code - offset);
      REQUIRE(less == expected);
      REQUIRE(sum == signed_sum(expected));
    }
  });
}

TEST_CASE_TEMPLATE("quantize of a pair is quantize of its two rows", K, reference, ZOQAT_BACKENDS) {
  std::uint32_t name = 0;
  for (const std::size_t n : sizes)
    for (int kind = 0; kind != 4; ++kind) {  // either row with or without smoothing
      name += 4;
      const auto values = floats(n, name, 2), direction = floats(n, name + 1, 3);
      const auto of_first = floats(n, name + 2, 2), of_second = floats(n, name + 3, 2);
      const weight_pair pair{values.data(),
                             direction.data(),
                             0.3f,
                             {kind % 2 == 0 ? nullptr : of_first.data(), kind / 2 == 0 ? nullptr : of_second.data()}};
      const weight_row rows[] = {{values.data(), direction.data(), 0.3f, pair.smoothing[0]},
                                 {values.data(), direction.data(), -0.3f, pair.smoothing[1]}};
      for (int bits = 2; bits <= 8; ++bits) {
        code_range ranges[2];
        std::vector<std::uint8_t> expected[2];
        std::int32_t sums[2];
        for (int i = 0; i != 2; ++i) {
          const grid g = grid_of(reference::min_max(rows[i], n), bits, false);
          ranges[i] = {g, i, (1 << bits) - 1 - i, panel_offset(bits, g.zero_point)};
          expected[i].resize(n);
          sums[i] = reference::quantize(rows[i], n, ranges[i], expected[i].data());
        }
        guarded<std::uint8_t> first(n), second(n);
        const auto found = K::quantize(pair, n, ranges, first.data(), second.data());
        REQUIRE(first.content() == expected[0]);
        REQUIRE(second.content() == expected[1]);
        REQUIRE(found[0] == sums[0]);
        REQUIRE(found[1] == sums[1]);
        REQUIRE(first.intact());
        REQUIRE(second.intact());
      }
    }
}

TEST_CASE_TEMPLATE("signs are a direction of +1 and -1", K, reference, ZOQAT_BACKENDS) {
  std::vector<std::uint32_t> words(4 * packed_signs::superblock_words);
  reference::rademacher_words({.seed = 5}, 3, 4, words.data());
  std::uint32_t name = 1000;
  for (const std::size_t first : {0u, 16u, 32u, 496u, 2032u})  // the last ones cross words and superblocks
    for (const std::size_t n : {0u, 1u, 5u, 15u, 16u, 17u, 31u, 48u, 63u, 64u, 65u, 130u, 1000u, 4200u})
      for (int kind = 0; kind != 4; ++kind) {  // either row with or without smoothing
        CAPTURE(first);
        CAPTURE(n);
        name += 3;
        const packed_signs signs{words.data(), first};
        const auto values = floats(n, name, 2), of_first = floats(n, name + 1, 2), of_second = floats(n, name + 2, 2);
        std::vector<float> direction(n);
        for (std::size_t i = 0; i != n; ++i) direction[i] = signs[i];
        const weight_pair by_numbers{
            values.data(),
            direction.data(),
            0.3f,
            {kind % 2 == 0 ? nullptr : of_first.data(), kind / 2 == 0 ? nullptr : of_second.data()}};
        weight_pair by_signs = by_numbers;
        by_signs.direction = nullptr, by_signs.signs = signs;
        code_range ranges[2];
        std::vector<std::uint8_t> expected[2];
        std::int32_t sums[2];
        for (std::size_t i = 0; i != 2; ++i) {
          const weight_row row = by_signs.row(i);
          const range bounds = reference::min_max(by_numbers.row(i), n), found = K::min_max(row, n);
          REQUIRE(found.min == bounds.min);
          REQUIRE(found.max == bounds.max);
          std::vector<float> materialized(n);
          reference::materialize(by_numbers.row(i), n, materialized.data());
          guarded<float> out(n);
          K::materialize(row, n, out.data());
          REQUIRE(out.content() == materialized);
          REQUIRE(out.intact());
          ranges[i] = {grid_of(bounds, 4, false), 0, 15, 8};
          expected[i].resize(n);
          sums[i] = reference::quantize(by_numbers.row(i), n, ranges[i], expected[i].data());
          guarded<std::uint8_t> bytes(n);
          REQUIRE(K::quantize(row, n, ranges[i], bytes.data()) == sums[i]);
          REQUIRE(bytes.content() == expected[i]);
          REQUIRE(bytes.intact());
        }
        guarded<std::uint8_t> forward(n), back(n);
        const auto found = K::quantize(by_signs, n, ranges, forward.data(), back.data());
        REQUIRE(found[0] == sums[0]);
        REQUIRE(found[1] == sums[1]);
        REQUIRE(forward.content() == expected[0]);
        REQUIRE(back.content() == expected[1]);
        REQUIRE(forward.intact());
        REQUIRE(back.intact());
      }
}

TEST_CASE_TEMPLATE("the sum of a row's bytes counts every place, at both ends", K, reference, ZOQAT_BACKENDS) {
  for (const std::size_t n : {1u, 31u, 64u, 1000u, 32768u})
    for (const float end : {-1000.0f, 1000.0f}) {
      const std::vector<float> x(n, end);
      std::vector<std::uint8_t> bytes(n);
      const auto count = static_cast<std::int32_t>(n);
      CHECK(K::quantize(weight_row{x.data()}, n, {{1.0f, 0}, 0, 255, 128}, bytes.data()) ==
            count * (end < 0 ? -128 : 127));
      CHECK(K::quantize(weight_row{x.data()}, n, {{1.0f, 127}, 0, 127, 127}, bytes.data()) ==
            count * (end < 0 ? -127 : 0));
    }
  for (std::size_t n = 1; n != 70; ++n) {
    std::vector<float> x(n);
    std::vector<std::uint8_t> bytes(n);
    std::int32_t expected = 0;
    for (std::size_t i = 0; i != n; ++i) {
      expected += static_cast<std::int32_t>(i % 8);
      x[i] = static_cast<float>(i % 8);
    }
    CHECK(K::quantize(weight_row{x.data()}, n, {{1.0f, 0}, 0, 15, 0}, bytes.data()) == expected);
  }
}

TEST_CASE_TEMPLATE("quantize of a row of weights is defined for every float", K, reference, ZOQAT_BACKENDS) {
  const std::vector<float> x{huge, -huge, infinity, -infinity, not_a_number, -0.0f, 0.0f, 1e10f, -1e10f, 5.0f};
  const std::uint8_t expected[] = {12, 2, 12, 2, 2, 7, 7, 12, 2, 12};
  for (std::size_t pad = 0; pad != 20; ++pad) {  // in whole vectors and in the tail
    std::vector<float> padded(pad, 0.0f);
    padded.insert(padded.end(), x.begin(), x.end());
    std::vector<std::uint8_t> bytes(padded.size());
    K::quantize(weight_row{padded.data()}, padded.size(), {{1.0f, 7}, 2, 12, 0}, bytes.data());
    for (std::size_t i = 0; i != x.size(); ++i) CHECK(bytes[pad + i] == expected[i]);
    K::quantize(weight_row{padded.data()}, padded.size(), {{1.0f, 7}, 2, 12, 7}, bytes.data());
    for (std::size_t i = 0; i != x.size(); ++i) CHECK(bytes[pad + i] == static_cast<std::uint8_t>(expected[i] - 7));
  }
}

TEST_CASE("a row of weights by hand") {
  const float values[] = {1, -2, 3, 0.5f}, direction[] = {1, 1, -1, -1}, smoothing[] = {2, 1, 0.5f, 4};
  const weight_row row{values, direction, 0.25f, smoothing};
  float out[4];
  reference::materialize(row, 4, out);
  CHECK(out[0] == 2.5f);
  CHECK(out[1] == -1.75f);
  CHECK(out[2] == 1.375f);
  CHECK(out[3] == 1.0f);
  CHECK(reference::min_max(row, 4).min == -1.75f);
  CHECK(reference::min_max(row, 4).max == 2.5f);
  std::uint8_t bytes[4];
  // round(2 w) + 3, from 1 to 7: 8, -1 (-3.5 to -4), 6 (2.75 to 3), 5
  CHECK(reference::quantize(row, 4, {{0.5f, 3}, 1, 7, 0}, bytes) == 7 + 1 + 6 + 5);
  CHECK(bytes[0] == 7);
  CHECK(bytes[1] == 1);
  CHECK(bytes[2] == 6);
  CHECK(bytes[3] == 5);
  CHECK(reference::quantize(row, 4, {{0.5f, 3}, 1, 7, 3}, bytes) == 4 - 2 + 3 + 2);
  CHECK(bytes[1] == 0xfe);

  // The other row of the pair: w - direction / 4 without smoothing is 0.75, -2.25, 3.25, 0.75.
  const code_range ranges[] = {{{0.5f, 3}, 1, 7, 3}, {{0.5f, 8}, 0, 15, 8}};
  std::uint8_t others[4];
  const weight_pair pair{values, direction, 0.25f, {smoothing, nullptr}};
  const auto sums = reference::quantize(pair, 4, ranges, bytes, others);
  CHECK(sums[0] == 4 - 2 + 3 + 2);
  CHECK(sums[1] == 2 - 4 + 6 + 2);  // 1.5, -4.5, 6.5 and 1.5, to even
  CHECK(bytes[1] == 0xfe);
  CHECK(others[1] == 0xfc);
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/params/masters.hpp>

#include <doctest/doctest.h>
#include <zoqat/params/compact_storage.hpp>
#include <zoqat/random/stream.hpp>
#include <zoqat/simd/reference.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::simd;

namespace {

constexpr std::size_t sizes[] = {0, 1, 2, 127, 128, 129, 500, 1024, 1025, 3000};
constexpr master_format formats[] = {master_format::bf16, master_format::int8, master_format::fp16};
constexpr rng::stream noise{.seed = 3, .step = 8, .tensor = 5, .use = rng::purpose::rounding};

std::vector<float> floats(std::size_t n, std::uint32_t name) {
  std::vector<float> v(n);
  rng::engine draw({.seed = 41, .tensor = name, .use = rng::purpose::data});
  for (float& x : v) x = 2 * draw.uniform() - 1;
  return v;
}

std::vector<float> read(compact_storage& storage) {
  std::vector<float> out(storage.view().size());
  read_masters<default_kernels>({.compact = storage.view()}, 0, out.size(), out.data());
  return out;
}

/// 16 bits of the words of the stream's blocks by ARS, in their order.
std::uint16_t odds(std::size_t i) {
  const std::uint32_t word = noise.ars_run()(static_cast<std::uint32_t>(i / 8))[i % 8 / 2];
  return static_cast<std::uint16_t>(i % 2 == 0 ? word : word >> 16);
}

}  // namespace

TEST_CASE("masters in fp32 are read where they lie") {
  auto values = floats(10, 1);
  const parameter p{.values = values};
  float room[10];
  CHECK(masters<default_kernels>(p, 3, 4, room) == values.data() + 3);
  read_masters<default_kernels>(p, 3, 4, room);
  for (std::size_t i = 0; i != 4; ++i) CHECK(room[i] == values[3 + i]);
}

TEST_CASE("compact masters read the same in parts") {
  for (const master_format format : formats)
    for (const std::size_t n : sizes) {
      compact_storage storage(format, floats(n, 2));
      const auto whole = read(storage);
      const parameter p{.compact = storage.view()};
      for (const std::size_t first : {std::size_t{0}, n / 3, n / 2, n}) {
        std::vector<float> part(n - first);
        CHECK(masters<default_kernels>(p, first, part.size(), part.data()) == part.data());
        CHECK(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
      }
    }
}

TEST_CASE("storing rounds each element by its own noise, whatever the parts") {
  for (const master_format format : formats)
    for (const std::size_t n : sizes) {
      compact_storage start(format, floats(n, 3)), wanted = start;
      auto moved = read(start);
      for (std::size_t i = 0; i != n; ++i) moved[i] += 1e-3f * static_cast<float>(i % 7);
      for (std::size_t i = 0; i != n; ++i) {  // by the definition
        const compact_masters m = wanted.view();
        const std::uint16_t o = odds(i);
        if (format == master_format::bf16)
          reference::narrow(&moved[i], &o, 1, &m.halves[i]);
        else if (format == master_format::fp16)
          reference::narrow(&moved[i], &o, 1, &m.fp16s[i]);
        else
          reference::narrow(&moved[i], &o, 1, grid{static_cast<float>(m.scales[i / 128]), 128}, &m.codes[i]);
      }
      for (const std::size_t part : {n + 1, std::size_t{1}, std::size_t{77}, std::size_t{128}}) {
        compact_storage storage = start;
        for (std::size_t first = 0; first < n; first += part)
          store_masters<default_kernels>({.compact = storage.view()}, noise, first, std::min(part, n - first),
                                         moved.data() + first);
        CHECK(read(storage) == read(wanted));
      }
    }
}

TEST_CASE("a step far below what the format resolves moves the masters on average") {
  constexpr std::size_t n = 100000;
  constexpr float step = 4e-5f;  // 1/98 of a unit in the last place of bf16, 1/12 of fp16, 1/222 of a code
  for (const master_format format : formats) {
    compact_storage storage(format, std::vector<float>(n, 0.6f));
    const auto before = read(storage);
    auto moved = before;
    for (float& x : moved) x += step;
    store_masters<default_kernels>({.compact = storage.view()}, noise, 0, n, moved.data());
    double mean = 0, variance = 0;
    const auto after = read(storage);
    for (std::size_t i = 0; i != n; ++i) {
      const double d = double{after[i]} - double{before[i]};
      mean += d / n, variance += d * d / n;
    }
    CHECK(std::abs(mean - double{step}) < 4 * std::sqrt(variance / n));
    CHECK(variance > 5 * double{step} * double{step});  // few moved, and those by a whole unit
  }
}

TEST_CASE("rounding to the nearest leaves what the format holds") {
  for (const master_format format : formats) {
    compact_storage storage(format, floats(300, 4));
    const auto held = read(storage);
    round_masters<default_kernels>({.compact = storage.view()}, 0, held.size(), held.data());
    CHECK(read(storage) == held);
    round_masters<default_kernels>({.compact = storage.view()}, 130, 40, held.data());
    const auto changed = read(storage);
    for (std::size_t i = 0; i != held.size(); ++i)
      if (i < 130 || i >= 170) CHECK(changed[i] == held[i]);
  }
}

TEST_CASE("rows that lie apart are the elements of their tensor, in every format") {
  constexpr std::size_t rows = 23, cols = 37, stride = 50, n = rows * cols, spanned = (rows - 1) * stride + cols;
  const auto values = floats(n, 6), gaps = floats(spanned, 7);
  auto moved = values;
  for (float& x : moved) x += 1e-3f;
  for (const master_format format : formats) {
    compact_storage joined(format, values), wide(format, gaps);
    compact_masters m = wide.view();
    m.cols = cols, m.stride = stride;
    if (format == master_format::int8) m.scales = joined.view().scales;
    const parameter apart{.compact = m}, whole{.compact = joined.view()};
    REQUIRE(apart.size() == n);
    round_masters<default_kernels>(apart, 0, n, values.data());
    std::vector<float> a(n), b(n);
    read_masters<default_kernels>(apart, 0, n, a.data());
    read_masters<default_kernels>(whole, 0, n, b.data());
    CHECK(a == b);
    for (const std::size_t first : {std::size_t{5}, std::size_t{36}, std::size_t{37}, std::size_t{400}}) {
      store_masters<default_kernels>(apart, noise, first, n - first, moved.data() + first);
      store_masters<default_kernels>(whole, noise, first, n - first, moved.data() + first);
      read_masters<default_kernels>(apart, first, n - first, a.data());
      read_masters<default_kernels>(whole, first, n - first, b.data());
      CHECK(a == b);
    }
    const compact_storage untouched(format, gaps);
    compact_storage copy = untouched;
    for (std::size_t row = 0; row + 1 != rows; ++row)
      for (std::size_t k = cols; k != stride; ++k) {
        const std::size_t i = row * stride + k;
        if (format == master_format::bf16) REQUIRE(m.halves[i] == copy.view().halves[i]);
        if (format == master_format::fp16) REQUIRE(m.fp16s[i] == copy.view().fp16s[i]);
        if (format == master_format::int8) REQUIRE(m.codes[i] == copy.view().codes[i]);
      }
  }
}

TEST_CASE("numbers in rows that lie apart are read and written as they are") {
  auto values = floats(26, 8);
  parameter p{.compact = {.floats = values}};
  p.compact.cols = 6, p.compact.stride = 10;  // 3 rows
  REQUIRE(p.size() == 18);
  std::vector<float> out(18);
  read_masters<default_kernels>(p, 0, 18, out.data());
  for (std::size_t i = 0; i != 18; ++i) CHECK(out[i] == values[i / 6 * 10 + i % 6]);
  auto expected = values;
  for (std::size_t i = 4; i != 14; ++i) expected[i / 6 * 10 + i % 6] = 100.0f + static_cast<float>(i);
  std::vector<float> written(10);
  for (std::size_t i = 0; i != 10; ++i) written[i] = 104.0f + static_cast<float>(i);
  store_masters<default_kernels>(p, noise, 4, 10, written.data());
  CHECK(values == expected);
}

TEST_CASE("an engine's signed codes are numbers on its scales, and never the lowest byte") {
  for (const std::size_t cols : {std::size_t{7}, std::size_t{2500}}) {
    std::vector<std::uint8_t> codes(2 * cols);
    for (std::size_t i = 0; i != codes.size(); ++i)
      codes[i] = static_cast<std::uint8_t>(17 * i + (17 * i % 256 == 128));
    const float scales[] = {0.25f, 2.0f};
    parameter p{.compact = {.codes = codes}};
    p.compact.host_scales = scales, p.compact.scale_size = cols;
    std::vector<float> out(codes.size());
    read_masters<default_kernels>(p, 0, out.size(), out.data());
    for (std::size_t i = 0; i != out.size(); ++i)
      REQUIRE(out[i] == scales[i / cols] * static_cast<float>(static_cast<std::int8_t>(codes[i])));
    const auto before = codes;
    round_masters<default_kernels>(p, 0, out.size(), out.data());
    CHECK(codes == before);
    store_masters<default_kernels>(p, noise, 0, out.size(), out.data());
    CHECK(codes == before);
    std::ranges::fill(out, -1e6f);
    round_masters<default_kernels>(p, 0, out.size(), out.data());
    for (const std::uint8_t code : codes) REQUIRE(static_cast<std::int8_t>(code) == -127);
    for (float& x : out) x = 0.1f;  // of a code of the first row 0.4, of the second 0.05
    store_masters<default_kernels>(p, noise, 0, out.size(), out.data());
    const auto up = std::count(codes.begin(), codes.begin() + static_cast<std::ptrdiff_t>(cols), 1);
    if (cols > 1000) CHECK(std::abs(static_cast<double>(up) - 0.4 * 2500) < 4 * std::sqrt(2500 * 0.24));
  }
}

// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <simd/backends.hpp>
#include <support/directions.hpp>
#include <zoqat/core/executor.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/random/random.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using simd::highway_kernels;

namespace {

using fill = void (*)(rng::stream, std::uint64_t, float*, std::size_t) noexcept;

std::vector<float> generate(fill f, std::uint64_t first, std::size_t n) {
  simd::testing::guarded<float> out(n);
  f(golden_stream, first, out.data(), n);
  CHECK(out.intact());
  return out.content();
}

// 1000 ranges, starts up to 2^35 and lengths up to a few superblocks of either distribution.
void check_ranges(fill f, fill expected) {
  rng::engine draw({.seed = 3, .use = rng::purpose::data});
  for (int i = 0; i != 1000; ++i) {
    const std::uint64_t first = (std::uint64_t{draw()} << 3) >> draw.below(36);
    const std::size_t n = draw.below(2u << draw.below(13));
    CAPTURE(first);
    CAPTURE(n);
    REQUIRE(generate(f, first, n) == generate(expected, first, n));
  }
}

constexpr std::size_t samples = 10'000'000, chunk = 10'000;

// Calls f with `samples` Gaussians of the production backend, a vector of `chunk` at a time.
template <class Generator, class F>
void for_each_chunk(F f) {
  std::vector<float> x(chunk);
  for (std::size_t first = 0; first != samples; first += chunk) {
    Generator::gaussian(golden_stream, first, x.data(), chunk);
    f(x);
  }
}

struct philox {
  static constexpr fill gaussian = highway_kernels::gaussian;
};
struct ars {
  static constexpr fill gaussian = highway_kernels::gaussian_ars;
};

}  // namespace

TYPE_TO_STRING(philox);
TYPE_TO_STRING(ars);

TEST_CASE_TEMPLATE("golden directions and golden weights hold", K, ZOQAT_BACKENDS) {
  CHECK(hash_of(generate(K::gaussian, golden_first, golden_size)) == golden_gaussian);
  CHECK(hash_of(generate(K::gaussian_ars, golden_first, golden_size)) == golden_gaussian_ars);
  CHECK(hash_of(generate(K::rademacher, golden_first, golden_size)) == golden_rademacher);
  CHECK(hash_of(golden_weights(K::gaussian, K::add_scaled)) == golden_update);
}

TEST_CASE_TEMPLATE("directions are those of the reference for any start and length", K, ZOQAT_BACKENDS) {
  check_ranges(K::gaussian, simd::reference::gaussian);
  check_ranges(K::gaussian_ars, simd::reference::gaussian_ars);
  check_ranges(K::rademacher, simd::reference::rademacher);
}

TEST_CASE_TEMPLATE("directions reach the last element of a stream", K, ZOQAT_BACKENDS) {
  CHECK(generate(K::gaussian, (std::uint64_t{1} << 35) - 300, 300) ==
        generate(simd::reference::gaussian, (std::uint64_t{1} << 35) - 300, 300));
  CHECK(generate(K::gaussian_ars, (std::uint64_t{1} << 35) - 300, 300) ==
        generate(simd::reference::gaussian_ars, (std::uint64_t{1} << 35) - 300, 300));
  CHECK(generate(K::rademacher, (std::uint64_t{1} << 39) - 3000, 3000) ==
        generate(simd::reference::rademacher, (std::uint64_t{1} << 39) - 3000, 3000));
}

TEST_CASE_TEMPLATE("directions do not depend on the number of threads or on the tiles", K, ZOQAT_BACKENDS) {
  constexpr std::size_t n = 30000;
  for (const fill f : {fill{K::gaussian}, fill{K::gaussian_ars}, fill{K::rademacher}}) {
    const auto whole = generate(f, 5, n);
    for (const std::size_t threads : {1u, 3u})
      for (const std::size_t tile : {1000u, 2048u, 7777u}) {
        std::vector<float> tiled(n);
        thread_pool pool(threads);
        pool.parallel_for((n + tile - 1) / tile, [&](std::size_t i) {
          f(golden_stream, 5 + i * tile, tiled.data() + i * tile, std::min(tile, n - i * tile));
        });
        CHECK(tiled == whole);
      }
  }
}

TEST_CASE_TEMPLATE("the words of a Rademacher direction are its elements", K, simd::reference, ZOQAT_BACKENDS) {
  for (const std::uint64_t superblock : {0ull, 1ull, 77ull, (1ull << 28) - 3})
    for (const std::size_t count : {0u, 1u, 3u}) {
      simd::testing::guarded<std::uint32_t> words(count * packed_signs::superblock_words);
      K::rademacher_words(golden_stream, superblock, count, words.data());
      CHECK(words.intact());
      const std::size_t n = count * packed_signs::superblock;
      std::vector<float> elements(n);
      for (std::size_t i = 0; i != n; ++i) elements[i] = packed_signs{words.data()}[i];
      CHECK(elements == generate(simd::reference::rademacher, superblock * packed_signs::superblock, n));
    }
}

TEST_CASE_TEMPLATE("the words of ARS are its blocks in the order of their numbers", K, simd::reference,
                   ZOQAT_BACKENDS) {
  for (const std::uint64_t superblock : {0ull, 1ull, 77ull, (1ull << 28) - 3})
    for (const std::size_t count : {0u, 1u, 3u}) {
      simd::testing::guarded<std::uint32_t> words(count * 64);
      K::ars_words(golden_stream, superblock, count, words.data());
      CHECK(words.intact());
      std::vector<std::uint32_t> expected;
      for (std::size_t block = 0; block != count * 16; ++block) {
        const auto bits = golden_stream.ars_run()(static_cast<std::uint32_t>(superblock * 16 + block));
        expected.insert(expected.end(), bits.begin(), bits.end());
      }
      CHECK(words.content() == expected);
    }
}

TEST_CASE_TEMPLATE("add_signs is add_scaled by the same signs, bit for bit, in place or not", K, simd::reference,
                   ZOQAT_BACKENDS) {
  std::vector<std::uint32_t> words(3 * packed_signs::superblock_words);
  simd::reference::rademacher_words(golden_stream, 0, 3, words.data());
  const auto bits_of = [](const std::vector<float>& v) {
    std::vector<std::uint32_t> bits;
    for (const float x : v) bits.push_back(std::bit_cast<std::uint32_t>(x));
    return bits;
  };
  for (const std::size_t first : {0u, 16u, 48u, 496u, 2032u})  // the last ones cross words and superblocks
    for (const std::size_t n : {0u, 1u, 3u, 15u, 16u, 17u, 63u, 64u, 65u, 130u, 999u, 3000u})
      for (const float scale : {0.3f, -1e-3f, 0.0f, -0.0f}) {
        CAPTURE(first);
        CAPTURE(n);
        CAPTURE(scale);
        std::vector<float> x = simd::testing::floats(n, 9), u(n), expected(n);
        if (n != 0) x[n / 2] = -0.0f;
        const packed_signs signs{words.data(), first};
        for (std::size_t i = 0; i != n; ++i) u[i] = signs[i];
        simd::reference::add_scaled(x.data(), u.data(), scale, expected.data(), n);
        simd::testing::guarded<float> out(n), in_place(x);
        K::add_signs(x.data(), signs, scale, out.data(), n);
        K::add_signs(in_place.data(), signs, scale, in_place.data(), n);
        REQUIRE(out.intact());
        REQUIRE(in_place.intact());
        REQUIRE(bits_of(out.content()) == bits_of(expected));
        REQUIRE(bits_of(in_place.content()) == bits_of(expected));
      }
}

TEST_CASE_TEMPLATE("add_scaled rounds the product, in place or not", K, ZOQAT_BACKENDS) {
  // In one rounding these cancel to something else than zero.
  const std::vector<float> u(70, 1.0f + 0x1p-12f);
  const std::vector<float> x(70, -(1.0f + 0x1p-11f));
  for (std::size_t n = 0; n != u.size(); ++n) {
    simd::testing::guarded<float> out(n),
        in_place(std::vector<float>(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(n)));
    K::add_scaled(x.data(), u.data(), 1.0f + 0x1p-12f, out.data(), n);
    K::add_scaled(in_place.data(), u.data(), 1.0f + 0x1p-12f, in_place.data(), n);
    CHECK(out.intact());
    CHECK(in_place.intact());
    CHECK(out.content() == std::vector<float>(n, 0.0f));
    CHECK(in_place.content() == out.content());
  }
}

TEST_CASE_TEMPLATE("ten million Gaussian samples pass the test of Kolmogorov and Smirnov", Generator, philox, ars) {
  // The distribution functions are compared at the edges of cells so narrow that none holds 7e-6 of the samples.
  constexpr int cells_per_unit = 1 << 16, limit = 6;
  std::vector<std::uint32_t> cells(2 * limit * cells_per_unit);
  for_each_chunk<Generator>([&](const std::vector<float>& x) {
    for (const float v : x) ++cells[static_cast<std::size_t>((v + limit) * cells_per_unit)];
  });
  double worst = 0;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i != cells.size(); ++i) {
    const double edge = static_cast<double>(i) / cells_per_unit - limit;
    const double normal = 0.5 * std::erfc(-edge / std::numbers::sqrt2);
    worst = std::max(worst, std::abs(static_cast<double>(below) / samples - normal));
    below += cells[i];
  }
  REQUIRE(below == samples);
  CHECK(worst + 7e-6 < 1.63 / std::sqrt(double{samples}));  // critical value at 1 %
}

TEST_CASE_TEMPLATE("ten million Gaussian samples have the right moments, and neighbors are independent", Generator,
                   philox, ars) {
  constexpr std::size_t powers = 6;
  // The pair of one word, then the next lane's, row's and superblock's.
  constexpr std::size_t lags[] = {16, 1, 32, 128};
  double moments[powers + 1] = {}, products[std::size(lags)] = {}, products_of_squares[std::size(lags)] = {};
  std::size_t pairs = 0;
  for_each_chunk<Generator>([&](const std::vector<float>& x) {
    for (const float v : x)
      for (std::size_t p = 1; p <= powers; ++p) moments[p] += std::pow(double{v}, static_cast<int>(p));
    for (std::size_t i = 0; i + 128 < x.size(); ++i, ++pairs)
      for (std::size_t l = 0; l != std::size(lags); ++l) {
        const double a = x[i], b = x[i + lags[l]];
        products[l] += a * b;
        products_of_squares[l] += (a * a - 1) * (b * b - 1);
      }
  });
  // E x^p and the variance of x^p.
  constexpr double expected[] = {1, 0, 1, 0, 3, 0, 15}, variance[] = {0, 1, 2, 15, 96, 945, 10170};
  for (std::size_t p = 1; p <= powers; ++p) {
    CAPTURE(p);
    CHECK(std::abs(moments[p] / samples - expected[p]) < 3 * std::sqrt(variance[p] / samples));
  }
  for (std::size_t l = 0; l != std::size(lags); ++l) {
    CAPTURE(lags[l]);
    CHECK(std::abs(products[l]) < 3.5 * std::sqrt(static_cast<double>(pairs)));
    CHECK(std::abs(products_of_squares[l]) < 3.5 * 2 * std::sqrt(static_cast<double>(pairs)));
  }
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/directions/orthogonal.hpp>

#include <doctest/doctest.h>
#include <support/data.hpp>
#include <zo/policies.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

double product(std::size_t n, std::uint32_t i, std::uint32_t k) {
  const auto a = elements_of(orthogonal(), {5, 6, i}, 7, n), b = elements_of(orthogonal(), {5, 6, k}, 7, n);
  double sum = 0;
  for (std::size_t j = 0; j != n; ++j) sum += double{a[j]} * double{b[j]};
  return sum;
}

}  // namespace

TEST_CASE("orthogonal elements are functions of their place") { check_elements(orthogonal()); }

TEST_CASE("reads, sweeps and updates go along orthogonal elements") { check_use(orthogonal()); }

TEST_CASE("signs are the elements") {
  for (const std::uint32_t index : {0u, 1u, 3u, 16u, 37u, 513u, 2048u, 5000u, 0xffffffu}) {
    const rng::stream s = direction{77, 3, index}.of_tensor(4);
    std::vector<std::uint32_t> words(3 * packed_signs::superblock_words);
    orthogonal::fill_signs<simd::default_kernels>(s, 1, 3, words.data());
    std::vector<float> numbers(3 * packed_signs::superblock);
    orthogonal::fill<simd::default_kernels>(s, packed_signs::superblock, numbers.data(), numbers.size());
    for (std::size_t i = 0; i != numbers.size(); ++i) REQUIRE(packed_signs{words.data()}[i] == numbers[i]);
  }
}

TEST_CASE("q directions are orthogonal in tensors of a multiple of the least power of two from q on") {
  for (const std::uint32_t q : {2u, 4u, 7u, 8u, 64u}) {
    const std::size_t n = std::bit_ceil(q);
    for (const std::size_t size : {n, 3 * n, 100 * n})
      for (std::uint32_t i = 0; i != q; ++i) {
        REQUIRE(product(size, i, i) == static_cast<double>(size));
        for (std::uint32_t k = 0; k != i; ++k) REQUIRE(product(size, i, k) == 0);
      }
    // And what is left over is all that they have in common.
    for (std::uint32_t k = 1; k != q; ++k) REQUIRE(std::abs(product(100 * n + 1, 0, k)) == 1);
  }
  for (const std::uint32_t k : {1u, 2047u, 2048u, 4095u}) CHECK(product(8192, 0, k) == 0);
}

TEST_CASE("E‖ĝ‖² along orthogonal directions is (d / q)‖g‖², all of it gradient at q = d" *
          doctest::skip(zoqat::testing::is_slow_build)) {
  tensors store;
  store.add(parameter_group::weight, std::vector<float>(16, 0.0f));
  const auto g = numbers(16, 20);
  for (const std::uint32_t q : {1u, 2u, 4u, 8u}) {
    const auto moments = linear_moments(store, orthogonal(), g, q, 20000);
    moments.check_mean(g);
    moments.check_power(16.0 / q * dot(g, g), 0.06);
  }
  const auto exact = linear_moments(store, orthogonal(), g, 16, 3);
  exact.check_mean(g);
  CHECK(exact.power.mean() == doctest::Approx(dot(g, g)).epsilon(1e-12));
}

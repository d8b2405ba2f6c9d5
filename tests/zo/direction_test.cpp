// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/direction.hpp>

#include <doctest/doctest.h>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/random/gaussian.hpp>
#include <zoqat/random/rademacher.hpp>

#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;

namespace {

template <class Distribution>
std::vector<float> filled(const Distribution& elements, rng::stream s, std::uint64_t first, std::size_t n) {
  std::vector<float> out(n);
  elements.template fill<simd::default_kernels>(s, first, out.data(), n);
  return out;
}

struct without_name {
  template <class Kernels>
  static void fill(rng::stream, std::uint64_t, float*, std::size_t) noexcept {}
};
struct may_throw {
  static const char* name() { return ""; }
  template <class Kernels>
  static void fill(rng::stream, std::uint64_t, float*, std::size_t) {}
};

}  // namespace

static_assert(distribution<gaussian> && distribution<gaussian_ars> && distribution<rademacher> &&
              distribution<runtime_distribution>);
static_assert(sign_distribution<rademacher> && sign_distribution<runtime_distribution> &&
              !sign_distribution<gaussian> && !sign_distribution<gaussian_ars>);
static_assert(!distribution<without_name> && !distribution<may_throw> && !distribution<int>);

TEST_CASE("a direction names a stream for each tensor, made of all its parts") {
  const direction along{.seed = 0x0123456789abcdef, .step = 5, .index = 2};
  CHECK(along.of_tensor(9) == rng::stream{0x0123456789abcdef, 5, 2, 9, rng::purpose::direction});

  // A change of any part is another direction.
  std::set<std::vector<float>> seen;
  for (const direction& d : {along, direction{along.seed + 1, 5, 2}, direction{along.seed ^ 1ull << 63, 5, 2},
                             direction{along.seed, 6, 2}, direction{along.seed, 5, 3}, direction{along.seed, 2, 5}})
    for (const std::uint32_t id : {9u, 10u}) {
      seen.insert(filled(gaussian(), d.of_tensor(id), 0, 8));
      seen.insert(filled(gaussian_ars(), d.of_tensor(id), 0, 8));
    }
  CHECK(seen.size() == 24);
}

TEST_CASE("the distributions are those of zoqat::rng") {
  const rng::stream s = direction{77, 3, 1}.of_tensor(4);
  for (const std::uint64_t first : {0u, 100u, 129u})
    for (const std::size_t n : {0u, 1u, 300u}) {
      std::vector<float> expected(n);
      rng::gaussian(s, first, expected);
      CHECK(filled(gaussian(), s, first, n) == expected);
      CHECK(filled(runtime_distribution{.is_gaussian = true}, s, first, n) == expected);
      rng::gaussian_ars(s, first, expected);
      CHECK(filled(gaussian_ars(), s, first, n) == expected);
      rng::rademacher(s, first, expected);
      CHECK(filled(rademacher(), s, first, n) == expected);
      CHECK(filled(runtime_distribution{.is_gaussian = false}, s, first, n) == expected);
    }
}

TEST_CASE_TEMPLATE("what a distribution gives as signs is what it gives as numbers", Distribution, rademacher,
                   runtime_distribution) {
  Distribution elements;
  if constexpr (requires { elements.is_gaussian; }) {
    CHECK_FALSE(elements.gives_signs());
    elements.is_gaussian = false;
  }
  CHECK(elements.gives_signs());
  const rng::stream s = direction{77, 3, 1}.of_tensor(4);
  std::vector<std::uint32_t> words(2 * packed_signs::superblock_words);
  elements.template fill_signs<simd::default_kernels>(s, 5, 2, words.data());
  const auto numbers = filled(elements, s, 5 * packed_signs::superblock, 2 * packed_signs::superblock);
  for (std::size_t i = 0; i != numbers.size(); ++i) REQUIRE(packed_signs{words.data()}[i] == numbers[i]);
}

TEST_CASE("names") {
  CHECK(gaussian::name() == std::string_view("gaussian"));
  CHECK(gaussian_ars::name() == std::string_view("gaussian_ars"));
  CHECK(rademacher::name() == std::string_view("rademacher"));
  CHECK(runtime_distribution{.is_gaussian = true}.name() == std::string_view(gaussian::name()));
  CHECK(runtime_distribution{.is_gaussian = false}.name() == std::string_view(rademacher::name()));
}

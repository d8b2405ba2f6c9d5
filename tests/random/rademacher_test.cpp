// SPDX-License-Identifier: Apache-2.0
#include <zoqat/random/rademacher.hpp>

#include <doctest/doctest.h>
#include <support/directions.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

std::vector<float> rademacher(rng::stream s, std::uint64_t first, std::size_t n) {
  std::vector<float> out(n);
  rng::rademacher(s, first, out);
  return out;
}

}  // namespace

TEST_CASE("the golden elements hold") {
  // Computed by a second implementation, in another language.
  CHECK(rademacher(golden_stream, 0, 24) ==
        std::vector<float>{-1, 1, -1, -1, -1, -1, 1, -1, -1, 1, -1, 1, -1, 1, 1, -1, -1, 1, -1, -1, 1, 1, -1, 1});
  CHECK(rademacher(golden_stream, 2047, 2) == std::vector<float>{-1, 1});
  CHECK(rademacher(golden_stream, (std::uint64_t{1} << 39) - 1, 1) == std::vector<float>{1});
  CHECK(hash_of(rademacher(golden_stream, golden_first, golden_size)) == golden_rademacher);
}

TEST_CASE("the order of the elements is the documented one") {
  const auto all = rademacher(golden_stream, 0, 3 * 2048);
  for (std::uint32_t i = 0; i != all.size(); ++i) {
    const std::uint32_t lane = i % 16, unit = i % 2048 / 16;
    const std::uint32_t word = golden_stream.bits(16 * (i / 2048) + lane)[unit / 32];
    CHECK(all[i] == ((word >> (31 - unit % 32) & 1u) != 0 ? 1.0f : -1.0f));
  }
}

TEST_CASE("an element does not depend on where the range starts or ends") {
  const auto all = rademacher(golden_stream, 0, 8000);
  for (const std::size_t first : {0u, 1u, 16u, 511u, 512u, 2047u, 2048u, 2049u})
    for (const std::size_t n : {0u, 1u, 15u, 16u, 17u, 512u, 2048u, 2049u, 4096u, 5000u}) {
      const auto part = rademacher(golden_stream, first, n);
      CHECK(std::equal(part.begin(), part.end(), all.begin() + static_cast<std::ptrdiff_t>(first)));
    }
}

TEST_CASE("both signs are equally likely and neighbors of every kind independent") {
  constexpr std::size_t n = 1000000;
  const auto x = rademacher(golden_stream, 0, n + 2048);
  // The next element, the next lane's, bit's, word's and superblock's.
  for (const std::size_t lag : {0u, 1u, 16u, 512u, 2048u}) {
    double sum = 0;
    for (std::size_t i = 0; i != n; ++i) sum += lag == 0 ? x[i] : x[i] * x[i + lag];
    CAPTURE(lag);
    CHECK(std::abs(sum) < 4 * std::sqrt(double{n}));
  }
}

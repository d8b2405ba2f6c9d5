// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/scales/flipped_codes.hpp>

#include <doctest/doctest.h>
#include <zo/problems.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

constexpr float unit = 0.25f;

// n weights anywhere in their cells.
tensors even_weights(std::size_t n) {
  std::vector<float> values = floats(n, 1);
  for (float& x : values) x *= 8 * unit;  // whole cells
  tensors store;
  store.add(parameter_group::weight, std::move(values), {unit, unit});
  return store;
}

}  // namespace

TEST_CASE("codes that differ between the lanes are counted, those of tensors with units") {
  tensors store;
  store.add(parameter_group::weight, {0.1f, 0.45f, 0.55f, -0.45f, -0.1f, 2.5f}, {1, 1, 1});
  store.add(parameter_group::weight, {0.45f, 0.45f});         // no grid
  store.add(parameter_group::norm, {0.9f, 0.2f}, {2, 0.5f});  // of another group
  store.add(parameter_group::clipping, {});
  const perturbation pair{{1, 2, 3}, {.weight = 0.06f}};
  const code_flips flips = flipped_codes(rademacher(), pair, store);
  CHECK(flips.codes == 8);
  CHECK(flips.flipped == 4);  // ±0.45, 0.55 and 2.5
  CHECK(flips.rate() == 0.5);
  CHECK(flipped_codes(rademacher(), {{1, 2, 3}, {}}, store).flipped == 0);
  CHECK(flipped_codes(rademacher(), {{1, 2, 3}, {.norm = 0.06f}}, store).flipped == 1);  // 0.9 / 2, by 0.06 of a unit
  tensors none;
  CHECK(flipped_codes(rademacher(), pair, none).rate() == 0);
}

TEST_CASE("an estimate's codes are those of all its directions") {
  tensors store = even_weights(1000);
  const measurement e{.seed = 1, .step = 2, .epsilon = {.weight = 0.1f}, .half_difference = {1, 2, 3}};
  code_flips sum;
  for (std::uint32_t i = 0; i != 3; ++i)
    sum.flipped += flipped_codes(gaussian(), perturbation{{1, 2, i}, e.epsilon}, store).flipped;
  const code_flips found = flipped_codes(gaussian(), e, store);
  CHECK(found.flipped == sum.flipped);
  CHECK(found.flipped > 0);
  CHECK(found.codes == 3000);
  CHECK(flipped_codes(gaussian(), measurement{.epsilon = {}, .half_difference = {}}, store).codes == 0);
}

TEST_CASE("for weights anywhere in their cells the rate is E min(1, 2ε|u|/Δ)") {
  constexpr std::size_t n = 200000;
  tensors store = even_weights(n);
  for (const float epsilon : {0.01f, 0.1f, 0.25f, 0.6f}) {
    const double most = 2 * double{epsilon};
    const perturbation pair{{1, 2, 3}, {.weight = epsilon}};
    const auto check = [&](double rate, double expected) {
      CHECK(std::abs(rate - expected) <= 4 * std::sqrt(expected * (1 - std::min(expected, 1.0)) / n) + 1e-9);
    };
    check(flipped_codes(rademacher(), pair, store).rate(), std::min(1.0, most));
    // ∫ min(1, a|u|) φ(u) du = 2a(φ(0) − φ(1/a)) + erfc(1/(a√2)).
    const double inverse = 1 / most, phi0 = 0.3989422804014327;
    check(flipped_codes(gaussian(), pair, store).rate(),
          2 * most * phi0 * (1 - std::exp(-inverse * inverse / 2)) + std::erfc(inverse / std::sqrt(2.0)));
  }
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/ptq/clip_search.hpp>

#include <doctest/doctest.h>
#include <support/random_model.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;
using namespace zoqat::quant;

namespace {

using fine = weight<4, per_channel, asymmetric, clip::codes>;
using coarse = weight<2, group<8>, asymmetric, clip::codes>;
using middle = weight<3, group<8>, symmetric, clip::codes>;

constexpr std::size_t width = 21;

/// Most weights are small, so that clipping the few large ones pays.
std::vector<double> heavy_tailed(std::uint32_t name) {
  const auto values = random_floats(width, 200 + name);
  std::vector<double> w(values.begin(), values.end());
  for (double& x : w) x = x * x * x + 0.1;
  return w;
}
std::vector<double> sizes(std::uint32_t name) {
  const auto values = random_floats(width, 300 + name);
  std::vector<double> d(values.begin(), values.end());
  for (double& x : d) x = x * x + 0.01;
  return d;
}

/// Σ d (w − ŵ)² for the nearest values on a grid: Δ (c − z), c in [0, 2^bits).
double error_on(std::span<const double> w, std::span<const double> d, double step, double zero, int bits) {
  double total = 0;
  for (std::size_t k = 0; k != w.size(); ++k) {
    double nearest = std::numeric_limits<double>::infinity();
    for (int code = 0; code != 1 << bits; ++code) nearest = std::min(nearest, std::abs(w[k] - step * (code - zero)));
    total += d[k] * nearest * nearest;
  }
  return total;
}

/// The least error over all grids of ranges that are shrunk at both ends by 0, 4, … 76 %, as equation 1 makes grids.
template <class Weight>
double exhaustive(std::span<const double> w, std::span<const double> d) {
  double least = std::numeric_limits<double>::infinity();
  const double low = std::min(0.0, *std::ranges::min_element(w)), high = std::max(0.0, *std::ranges::max_element(w));
  const double top = (1 << Weight::bits) - 1, middle_code = 1 << (Weight::bits - 1);
  for (int a = 0; a != 20; ++a)
    for (int b = 0; b != 20; ++b) {
      const double least_weight = (1 - 0.04 * a) * low, most = (1 - 0.04 * b) * high;
      if constexpr (Weight::zeros == zero_points::any) {
        const double step = (most - least_weight) / top;
        least = std::min(least, error_on(w, d, step, -std::nearbyint(least_weight / step), Weight::bits));
      } else {
        const double step = std::max(-least_weight / middle_code, most / (top - middle_code));
        least = std::min(least, error_on(w, d, step, middle_code, Weight::bits));
      }
    }
  return least;
}

}  // namespace

TEST_CASE_TEMPLATE("no pair of factors for the two ends of a range has a smaller error", Weight, fine, coarse,
                   middle) {
  std::size_t clipped = 0, groups = 0, moved = 0;
  for (std::uint32_t name = 0; name != 12; ++name) {
    const std::vector<double> w = heavy_tailed(name), alike(width, 1.0);
    const auto full = ptq::ranged_grids<Weight>(w), plain = ptq::clipped_grids<Weight>(w, {});
    for (const std::vector<double>& d : {alike, sizes(name)}) {
      const auto found = d == alike ? plain : ptq::clipped_grids<Weight>(w, d);
      REQUIRE(found.size() == Weight::groups(width));
      for_each_group<Weight>(width, [&](std::size_t group, std::size_t first, std::size_t count) {
        const auto of_group = std::span(w).subspan(first, count);
        const auto sizes_of_group = std::span(d).subspan(first, count);
        const auto error = [&](const simd::grid& g) {
          return error_on(of_group, sizes_of_group, double{g.scale}, g.zero_point, Weight::bits);
        };
        // Ties of single precision aside: a weight half way between two codes.
        CHECK(error(found[group]) <= exhaustive<Weight>(of_group, sizes_of_group) * (1 + 1e-5));
        CHECK(error(found[group]) <= error(full[group]));
        clipped += found[group].scale < full[group].scale;
        moved += found[group].scale != plain[group].scale;
        ++groups;
      });
    }
  }
  CHECK(clipped > groups / 2);
  CHECK(moved > groups / 8);
}

TEST_CASE("a row of zeros keeps a grid that stands for zero") {
  for (const simd::grid& g : ptq::clipped_grids<coarse>(std::vector<double>(width, 0.0), {})) {
    CHECK(g.scale > 0);
    CHECK(g.zero_point >= 0);
    CHECK(g.zero_point <= 3);
  }
}

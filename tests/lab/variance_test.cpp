// SPDX-License-Identifier: Apache-2.0
#include <zoqat/lab/variance.hpp>

#include <doctest/doctest.h>
#include <lab/measured.hpp>
#include <support/errors.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <set>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::lab;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

const std::vector<double> truth{3, -4};

/// Estimates (3, −4) + (1, 2) · (±1), in turns.
struct alternating {
  bool operator()(std::uint32_t step, std::span<double> out) const {
    const double sign = step % 2 == 0 ? 1 : -1;
    out[0] = 3 + sign, out[1] = -4 + 2 * sign;
    return true;
  }
};

}  // namespace

TEST_CASE("the figures of known samples") {
  sequential one;
  const estimator_error e = measure_samples(
      truth, [] { return alternating{}; }, {.samples = 1000}, one);
  CHECK(e.samples() == 1000);
  CHECK(e.rejected() == 0);
  CHECK(e.mean_squared_error().center == doctest::Approx(5));
  CHECK(e.mean_squared_error().half_width() < 1e-12);  // both kinds of sample have it
  CHECK(e.second_moment().center == doctest::Approx(30));
  CHECK(e.projection().center == doctest::Approx(1));
  CHECK(e.cosine().center == doctest::Approx((20 / std::sqrt(20.0) + 30 / std::sqrt(40.0)) / 10));
  CHECK(e.bias_norm().low == 0);
  CHECK(e.bias_norm().center < 1e-12);
  REQUIRE(e.bias().size() == 2);
  CHECK(e.bias()[1].half_width() == doctest::Approx(2 * e.bias()[0].half_width()));
}

TEST_CASE("a bias is found, and its norm lies in its interval") {
  sequential one;
  const auto make = [] {
    return [](std::uint32_t step, std::span<double> out) {
      alternating{}(step, out);
      out[0] += 0.3, out[1] -= 0.4;
      return true;
    };
  };
  const interval norm = measure_samples(truth, make, {.samples = 10000}, one).bias_norm();
  CHECK(norm.low > 0.4);
  CHECK(norm.contains(0.5));
  CHECK(norm.high < 0.6);
}

TEST_CASE("steps are all taken, once, from the first on") {
  for (const std::uint64_t samples : {1u, 63u, 64u, 65u, 1000u}) {
    std::set<std::uint32_t> steps;
    std::mutex guard;
    const auto make = [&] {
      return [&](std::uint32_t step, std::span<double>) {
        const std::lock_guard lock(guard);
        CHECK(steps.insert(step).second);
        return step % 3 != 0;
      };
    };
    const estimator_error e =
        measure_samples(truth, make, {.samples = samples, .first_step = 30}, measuring_threads());
    CHECK(steps.size() == samples);
    CHECK(*steps.begin() == 30);
    CHECK(*steps.rbegin() == 29 + samples);
    CHECK(e.samples() + e.rejected() == samples);
    CHECK(e.rejected() == (samples + 2) / 3);
  }
}

TEST_CASE("the same samples give the same bits on any number of threads") {
  std::array<interval, 3> mse, bias;
  std::size_t i = 0;
  for (const std::size_t cores : {1u, 2u, 3u}) {
    point_store store({0.5f, 1.0f});
    thread_pool threads(cores);
    const estimator<> e{.epsilon = per_group<float>::all(0.125f), .seed = 4};
    const auto make = [&] { return point_objective(store.parameters, inner_product{truth}); };
    const estimator_error error = measure(e, store.parameters, make, truth, {.samples = 999}, threads);
    mse[i] = error.mean_squared_error(), bias[i] = error.bias_norm(), ++i;
  }
  for (std::size_t other : {1u, 2u}) {
    CHECK(mse[0].center == mse[other].center);
    CHECK(mse[0].high == mse[other].high);
    CHECK(bias[0].center == bias[other].center);
  }
}

TEST_CASE("losses that are not finite are counted and left out, and objectives may be shared") {
  point_store store({0.5f, 1.0f});
  struct spoiled {
    std::uint32_t step = 0, calls = 0;
    void select(std::uint32_t s) { step = s; }
    void operator()(const lane_points<gaussian>& lanes, std::size_t, std::span<double> losses) {
      ++calls;
      for (std::size_t i = 0; i != lanes.size(); ++i)
        losses[i] = step % 4 == 0 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
    }
  } shared;
  sequential one;
  const estimator_error e = measure(
      estimator<>{}, store.parameters, [&]() -> spoiled& { return shared; }, truth, {.samples = 100}, one);
  CHECK(shared.calls == 100);
  CHECK(e.rejected() == 25);
  CHECK(e.samples() == 75);
  CHECK(e.cosine().center == 0);  // estimates of 0
}

TEST_CASE("components need not be followed, and a gradient of 0 has no cosine") {
  sequential one;
  const auto make = [] { return alternating{}; };
  const estimator_error e =
      measure_samples(std::vector<double>{0, 0}, make, {.samples = 10, .components = false}, one);
  CHECK(e.bias().empty());
  CHECK(e.samples() == 10);
  CHECK(e.mean_squared_error().center == doctest::Approx(30));
  CHECK(e.cosine().contains(1e300));
}

TEST_CASE("no samples, or steps beyond those that there are, are refused") {
  sequential one;
  const auto measure_steps = [&](const sampling& how) {
    return zoqat::testing::message_of<value_error>([&] {
      static_cast<void>(measure_samples(
          truth, [] { return alternating{}; }, how, one));
    });
  };
  zoqat::testing::check_mentions(measure_steps({.samples = 0}), "0 samples");
  zoqat::testing::check_mentions(measure_steps({.samples = 2, .first_step = 0xffffffffu}), "from step 4294967295");
}

// SPDX-License-Identifier: Apache-2.0
#include <zoqat/zo/variance_reduction/svrg.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <zo/policies.hpp>
#include <zoqat/zo/estimator.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

using namespace zoqat;
using namespace zoqat::zo;
using namespace zoqat::zo::testing;

namespace {

constexpr std::size_t d = 6;

// ½ Σ h x² + ⟨b_m, x⟩: every batch m pulls another way, and the mean of the b_m is not small beside them.
struct batches {
  std::vector<double> h = std::vector<double>(d, 0.5);
  std::vector<std::vector<double>> b{numbers(d, 1), numbers(d, 2), numbers(d, 3), numbers(d, 4)};

  [[nodiscard]] auto loss(tensors& store, std::size_t first_batch) const {
    return objective_of(store, gaussian(), [this, first_batch](std::span<const float> x, std::size_t m) {
      double sum = 0;
      for (std::size_t j = 0; j != d; ++j)
        sum += h[j] * double{x[j]} * double{x[j]} / 2 + b[(first_batch + m) % 4][j] * double{x[j]};
      return sum;
    });
  }
  [[nodiscard]] std::vector<double> gradient(std::span<const float> x) const {
    std::vector<double> g(d);
    for (std::size_t j = 0; j != d; ++j) {
      g[j] = h[j] * double{x[j]};
      for (const auto& of_batch : b) g[j] += of_batch[j] / 4;
    }
    return g;
  }
};

svrg<estimator<>> some_svrg() {
  const auto epsilon = per_group<float>::all(0x1p-6f);
  return {.of_anchor = {.epsilon = epsilon, .directions = 4000, .micro_batches = 4, .seed = 1},
          .of_step = {.epsilon = epsilon, .seed = 2}};
}

}  // namespace

TEST_CASE("the parts of an estimate add up to the gradient, with an error of the distance from the anchor") {
  const batches f;
  tensors here = at_origin(d), there = at_origin(d);
  here[0] = floats(d, 9);
  for (std::size_t j = 0; j != d; ++j) there[0][j] = here[0][j] + (j % 2 == 0 ? 0.05f : -0.05f);
  auto method = some_svrg();
  auto of_anchor = f.loss(there, 0);
  REQUIRE(method.anchor(0, of_anchor));
  CHECK(method.at_anchor.half_difference.size() == 4000);
  const auto anchored = gradient_of(method.at_anchor, there, gaussian());

  gradient_moments corrections, plain;
  for (std::uint32_t step = 0; step != 8000; ++step) {
    auto loss = f.loss(here, step % 4), anchor = f.loss(there, step % 4);
    const auto parts = method(step, loss, anchor);
    corrections.add(gradient_of(parts[0], here, gaussian()));
    plain.add(gradient_of(method.of_step(step, loss), here, gaussian()));
    CHECK(parts[1].half_difference == method.at_anchor.half_difference);
  }
  // The difference of the gradients is h (w − w̃) on every batch: (d + 2) times its square remains.
  const auto at_w = f.gradient(here[0]), at_anchor = f.gradient(there[0]);
  std::vector<double> difference(d);
  for (std::size_t j = 0; j != d; ++j) difference[j] = at_w[j] - at_anchor[j];
  corrections.check_mean(difference);
  corrections.check_power((d + 2) * dot(difference, difference), 0.15);
  CHECK(plain.power.mean() > 100 * corrections.power.mean());
  for (std::size_t j = 0; j != d; ++j)
    CHECK(anchored[j] == doctest::Approx(at_anchor[j]).epsilon(0.1).scale(std::sqrt(dot(at_anchor, at_anchor))));
}

TEST_CASE("a step without an anchor, or along its directions, is an error; a failed anchor leaves the last") {
  const batches f;
  tensors store = at_origin(d);
  auto method = some_svrg();
  method.of_anchor.directions = 3;
  auto loss = f.loss(store, 0);
  CHECK_THROWS_AS((void)method(0, loss, loss), value_error);
  REQUIRE(method.anchor(0, loss));
  const auto kept = method.at_anchor.half_difference;
  auto failing = [](const auto&, std::size_t, std::span<double> losses) {
    for (double& x : losses) x = std::numeric_limits<double>::quiet_NaN();
  };
  CHECK_FALSE(method.anchor(1, failing));
  CHECK(method.at_anchor.half_difference == kept);
  CHECK(method(1, failing, loss)[0].rejected());
  // Both see the same: no difference, and the level of the loss is that of the anchor.
  const auto parts = method(2, loss, loss);
  CHECK(parts[0].half_difference == std::vector<float>{0});
  CHECK(parts[0].loss == doctest::Approx(method.at_anchor.loss).epsilon(1e-12));
  method.of_step.seed = method.of_anchor.seed;
  zoqat::testing::check_mentions(zoqat::testing::message_of<value_error>([&] { (void)method.anchor(3, loss); }),
                                 "seed 1");
}

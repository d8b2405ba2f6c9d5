// SPDX-License-Identifier: Apache-2.0
//
// What zo::in_place costs beside the loss: masters are copied, moved to both points of an antithetic pair, and put
// back. 24 matrices of 1024 x 1024 in fp32, 96 MiB, which no cache holds; one thread against all of the machine's,
// and a copy of as many bytes (read and written once) on one thread.

#include "timing.hpp"

#include <zoqat/core/executor.hpp>
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/zo/embed/in_place.hpp>
#include <zoqat/zo/embed/parameter_list.hpp>
#include <zoqat/zo/estimator.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace zoqat;

constexpr std::size_t matrices = 24, size = 1024 * 1024;

template <zo::distribution Distribution>
void measure(const Distribution& distribution, thread_pool& threads) {
  std::vector<std::vector<float>> weights(matrices, std::vector<float>(size, 0.5f));
  zo::parameter_list parameters;
  for (std::size_t i = 0; i != matrices; ++i) parameters.add("w" + std::to_string(i), weights[i]);
  const auto loss = [] { return 1.0; };
  const auto evaluate = [&](auto& objective) {
    const zo::perturbation point{{.seed = 1, .step = 2}, per_group<float>::all(1e-3f)};
    const std::array lanes{point, -point};
    std::array<double, 2> losses{};
    objective(zo::lane_points<Distribution>{lanes, distribution}, 0, std::span<double>(losses));
  };
  auto alone = zo::in_place(parameters, loss);
  auto together = zo::in_place(parameters, loss, threads);
  std::vector<float> copy(matrices * size);

  bench::canary bird(&threads);
  bird.settle();
  bench::contest contest;
  contest.add("one", 1, [&] { evaluate(alone); });
  contest.add("all", 1, [&] { evaluate(together); });
  contest.add("copy", 1, [&] {
    for (std::size_t i = 0; i != matrices; ++i)
      std::ranges::copy(weights[i], copy.begin() + static_cast<std::ptrdiff_t>(i * size));
  });
  contest.measure(bird, {.budget = 20});
  std::printf("%-12s one thread %.1f ms, %zu threads %.1f ms: %.2f times as fast; %.1f copies%s\n",
              Distribution::name(), 1e3 * contest.seconds("one"), threads.concurrency(), 1e3 * contest.seconds("all"),
              contest.over("all", "one"), contest.over("copy", "one"), contest.disturbed() ? "  (disturbed)" : "");
}

}  // namespace

int main() {
  thread_pool threads;
  std::printf("%s on %s, %zu matrices of 1024 x 1024\n", simd::default_kernels::name(),
              simd::default_kernels::target(), matrices);
  measure(zo::rademacher(), threads);
  measure(zo::gaussian(), threads);
}

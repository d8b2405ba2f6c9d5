// SPDX-License-Identifier: Apache-2.0
//
// Random directions into a buffer that stays in the first-level cache, and what a sweep over weights does with them.

#include "program.hpp"

#include <zoqat/core/aligned.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

using namespace zoqat;
using kernels = simd::default_kernels;
constexpr std::size_t elements = 4096;

template <zo::distribution Distribution>
void fill(benchmark::State& state) {
  buffer<float> u(elements);
  std::uint64_t first = 0;
  for (auto _ : state) {
    Distribution::template fill<kernels>({.seed = 3}, first, u.data(), u.size());
    first += u.size();
    benchmark::DoNotOptimize(u.data());
  }
  bench::count(state, "elements/s", elements);
}

/// An antithetic pair read from masters.
template <zo::distribution Distribution>
void perturb(benchmark::State& state) {
  buffer<float> weights(elements, 1.0f), out(2 * elements);
  const parameter p{.values = weights};
  const std::array scales{1e-3f, -1e-3f};
  std::uint32_t step = 0;
  for (auto _ : state) {
    zo::read_perturbed<kernels>(Distribution{}, p, {.seed = 3, .step = step++}, scales, 0, elements, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  bench::count(state, "elements/s", elements);
}

BENCHMARK(fill<zo::gaussian>)->Name("fill/gaussian");
BENCHMARK(fill<zo::gaussian_ars>)->Name("fill/gaussian_ars");
BENCHMARK(fill<zo::rademacher>)->Name("fill/rademacher");
BENCHMARK(perturb<zo::gaussian>)->Name("perturb/gaussian");
BENCHMARK(perturb<zo::gaussian_ars>)->Name("perturb/gaussian_ars");
BENCHMARK(perturb<zo::rademacher>)->Name("perturb/rademacher");

}  // namespace

int main(int argc, char** argv) { return zoqat::bench::run_benchmarks(argc, argv); }

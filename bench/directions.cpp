// SPDX-License-Identifier: Apache-2.0
//
// Random directions into a buffer that stays in the first-level cache, and what a sweep over weights does with them.

#include "program.hpp"

#include <zoqat/core/aligned.hpp>
#include <zoqat/zo/directions/low_rank.hpp>
#include <zoqat/zo/directions/orthogonal.hpp>
#include <zoqat/zo/directions/partition.hpp>
#include <zoqat/zo/directions/quantized.hpp>
#include <zoqat/zo/directions/sparse.hpp>
#include <zoqat/zo/directions/sphere.hpp>
#include <zoqat/zo/directions/uniform.hpp>
#include <zoqat/zo/perturbation.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

using namespace zoqat;
using kernels = simd::default_kernels;
constexpr std::size_t elements = 4096;

/// A chunk of a matrix with rows of 768 after the other.
template <zo::distribution Distribution>
void fill(benchmark::State& state, const Distribution& distribution) {
  constexpr std::size_t row_size = 768;
  buffer<float> weights(1024 * row_size), u(elements);
  const parameter p{.values = weights, .row_size = row_size};
  std::uint64_t first = 0;
  for (auto _ : state) {
    zo::fill_direction<kernels>(distribution, {.seed = 3, .index = 5}, p, first, u.data(), u.size());
    first = (first + u.size()) % weights.size();
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
    const zo::direction along{.seed = 3, .step = step++, .index = 5};
    zo::read_perturbed<kernels>(Distribution{}, p, along, scales, 0, elements, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  bench::count(state, "elements/s", elements);
}

BENCHMARK_CAPTURE(fill, gaussian, zo::gaussian())->Name("fill/gaussian");
BENCHMARK_CAPTURE(fill, gaussian_ars, zo::gaussian_ars())->Name("fill/gaussian_ars");
BENCHMARK_CAPTURE(fill, rademacher, zo::rademacher())->Name("fill/rademacher");
BENCHMARK_CAPTURE(fill, uniform, zo::uniform())->Name("fill/uniform");
BENCHMARK_CAPTURE(fill, sparse_gaussian, zo::sparse_gaussian())->Name("fill/sparse_gaussian");
BENCHMARK_CAPTURE(fill, sparse_rademacher, zo::sparse_rademacher())->Name("fill/sparse_rademacher");
BENCHMARK_CAPTURE(fill, sphere, zo::sphere())->Name("fill/sphere");
BENCHMARK_CAPTURE(fill, orthogonal, zo::orthogonal())->Name("fill/orthogonal");
BENCHMARK_CAPTURE(fill, partition, zo::partition(8))->Name("fill/partition");
BENCHMARK_CAPTURE(fill, low_rank_1, zo::low_rank(1))->Name("fill/low_rank_1");
BENCHMARK_CAPTURE(fill, low_rank_4, zo::low_rank(4))->Name("fill/low_rank_4");
BENCHMARK_CAPTURE(fill, quantized_gaussian, zo::quantized_gaussian(8))->Name("fill/quantized_gaussian");
BENCHMARK(perturb<zo::gaussian>)->Name("perturb/gaussian");
BENCHMARK(perturb<zo::gaussian_ars>)->Name("perturb/gaussian_ars");
BENCHMARK(perturb<zo::rademacher>)->Name("perturb/rademacher");
BENCHMARK(perturb<zo::orthogonal>)->Name("perturb/orthogonal");

}  // namespace

int main(int argc, char** argv) { return zoqat::bench::run_benchmarks(argc, argv); }

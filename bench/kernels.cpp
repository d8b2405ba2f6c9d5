// SPDX-License-Identifier: Apache-2.0
//
// The kernels one by one, with the work they do per second. Single thread; the instruction set is in the context lines.

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/simd/default_kernels.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using namespace zoqat;
using kernels = simd::default_kernels;

buffer<float> values(std::size_t n) {
  buffer<float> v(n);
  kernels::gaussian({.seed = 1}, 0, v.data(), n);
  return v;
}
matrix<std::uint8_t> codes(std::size_t rows, std::size_t cols, int bits) {
  matrix<std::uint8_t> c(rows, cols);
  random::engine engine({.seed = 2});
  for (std::uint8_t& code : c.flat()) code = static_cast<std::uint8_t>(engine.below(1u << bits));
  return c;
}
void count_products(benchmark::State& state, std::size_t products) {
  state.counters["MAC/s"] = benchmark::Counter(static_cast<double>(products), benchmark::Counter::kIsIterationInvariantRate);
}

/// [tokens, k] times one panel of 16 output channels, arguments: tokens, k.
void gemm_f32(benchmark::State& state) {
  const auto tokens = static_cast<std::size_t>(state.range(0)), k = static_cast<std::size_t>(state.range(1));
  const buffer<float> a = values(tokens * k), panel = values(simd::float_panel_size(k));
  matrix<float> c(tokens, simd::panel_width);
  for (auto _ : state) {
    kernels::gemm_panel(matrix_view<const float>(a.data(), tokens, k), panel.data(), nullptr, false, c);
    benchmark::DoNotOptimize(c.data());
  }
  count_products(state, tokens * k * simd::panel_width);
}
template <int ActivationBits, int WeightBits>
void gemm_codes(benchmark::State& state) {
  const auto tokens = static_cast<std::size_t>(state.range(0)), k = static_cast<std::size_t>(state.range(1));
  const matrix<std::uint8_t> a = codes(tokens, k, ActivationBits), weights = codes(simd::panel_width, k, WeightBits);
  buffer<std::uint8_t> panel(simd::code_panel_size(k));
  kernels::pack_panel(weights.view(), panel.data());
  std::vector<std::int32_t> row_sums(tokens), sums(tokens * simd::panel_width);
  for (std::size_t m = 0; m != tokens; ++m) row_sums[m] = kernels::sum(a.row(m).data(), k);
  for (auto _ : state) {
    kernels::gemm_panel<ActivationBits, WeightBits>(a.view(), row_sums.data(), panel.data(), sums.data());
    benchmark::DoNotOptimize(sums.data());
  }
  count_products(state, tokens * k * simd::panel_width);
}

template <void (*Fill)(random::stream, std::uint64_t, float*, std::size_t) noexcept>
void direction(benchmark::State& state) {
  buffer<float> u(4096);
  std::uint64_t first = 0;
  for (auto _ : state) {
    Fill({.seed = 3}, first, u.data(), u.size());
    first += u.size();
    benchmark::DoNotOptimize(u.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(u.size()));
}

void quantize_row(benchmark::State& state) {
  const buffer<float> x = values(static_cast<std::size_t>(state.range(0)));
  std::vector<std::uint8_t> to(x.size());
  for (auto _ : state) benchmark::DoNotOptimize(kernels::quantize_row(x.data(), x.size(), 4, false, to.data()));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
template <int Bits>
void unpack(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  const matrix<std::uint8_t> c = codes(1, n, Bits);
  std::vector<std::uint8_t> packed(simd::packed_bytes(Bits, n)), to(n);
  kernels::pack<Bits>(c.data(), n, packed.data());
  for (auto _ : state) {
    kernels::unpack<Bits>(packed.data(), n, to.data());
    benchmark::DoNotOptimize(to.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
void softmax(benchmark::State& state) {
  const buffer<float> x = values(static_cast<std::size_t>(state.range(0)));
  buffer<float> y(x.size());
  for (auto _ : state) {
    y = x;
    kernels::softmax(y.data(), y.size());
    benchmark::DoNotOptimize(y.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(gemm_f32)->Args({384, 768})->Args({384, 3072})->Args({1, 4096});
BENCHMARK(gemm_codes<4, 4>)->Args({384, 768})->Args({384, 3072})->Args({1, 4096});
BENCHMARK(gemm_codes<8, 8>)->Args({384, 768});
BENCHMARK(direction<kernels::gaussian>)->Name("direction_gaussian");
BENCHMARK(direction<kernels::rademacher>)->Name("direction_rademacher");
BENCHMARK(quantize_row)->Arg(768);
BENCHMARK(unpack<2>)->Arg(4096);
BENCHMARK(unpack<3>)->Arg(4096);
BENCHMARK(unpack<4>)->Arg(4096);
BENCHMARK(softmax)->Arg(384);

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("kernels", kernels::name());
  benchmark::AddCustomContext("target", kernels::target());
  benchmark::RunSpecifiedBenchmarks();
}

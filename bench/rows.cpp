// SPDX-License-Identifier: Apache-2.0
//
// Kernels of one row or one panel, in the first- or second-level cache: name/elements or name/depth.

#include "program.hpp"

#include <zoqat/core/aligned.hpp>
#include <zoqat/core/matrix.hpp>
#include <zoqat/core/packed_signs.hpp>
#include <zoqat/quant/fake_quantize.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace {

using namespace zoqat;
using kernels = simd::default_kernels;

enum class direction { none, numbers, signs };

/// Weights with all that a sweep may do to them.
struct row_of_weights {
  std::size_t size;
  buffer<float> values, numbers, smoothing;
  buffer<std::uint32_t> signs;

  explicit row_of_weights(std::size_t n)
      : size(n), values(n), numbers(n), smoothing(2 * n, 1.25f), signs(packed_signs::words_of(0, n)) {
    kernels::gaussian({.seed = 5, .use = rng::purpose::data}, 0, values.data(), n);
    kernels::gaussian({.seed = 6}, 0, numbers.data(), n);
    kernels::rademacher_words({.seed = 7}, 0, signs.size() / packed_signs::superblock_words, signs.data());
  }
  [[nodiscard]] simd::weight_pair pair(direction d) const {
    return {values.data(),
            d == direction::numbers ? numbers.data() : nullptr,
            1e-2f,
            {smoothing.data(), smoothing.data() + size},
            d == direction::signs ? packed_signs{signs.data()} : packed_signs{}};
  }
};

std::size_t size_of(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }
void count_elements(benchmark::State& state, std::size_t n) {
  bench::count(state, "elements/s", static_cast<double>(n));
}

constexpr simd::code_range four_bits{{0.5f, 8}, 0, 15, 8};

template <direction Direction>
void quantize_row(benchmark::State& state) {
  const row_of_weights row(size_of(state));
  buffer<std::uint8_t> codes(row.size);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::quantize(row.pair(Direction).row(0), row.size, four_bits, codes.data()));
    benchmark::ClobberMemory();
  }
  count_elements(state, row.size);
}
/// Counts the elements of both rows.
template <direction Direction>
void quantize_pair(benchmark::State& state) {
  const row_of_weights row(size_of(state));
  const std::array ranges{four_bits, four_bits};
  buffer<std::uint8_t> codes(2 * row.size);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels::quantize(row.pair(Direction), row.size, ranges.data(), codes.data(), codes.data() + row.size));
    benchmark::ClobberMemory();
  }
  count_elements(state, 2 * row.size);
}
template <direction Direction>
void min_max(benchmark::State& state) {
  const row_of_weights row(size_of(state));
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::min_max(row.pair(Direction).row(0), row.size));
    benchmark::ClobberMemory();
  }
  count_elements(state, row.size);
}
/// Of an input: its range, its grid and its codes.
void quantize_token(benchmark::State& state) {
  const row_of_weights row(size_of(state));
  buffer<std::uint8_t> codes(row.size);
  for (auto _ : state) {
    benchmark::DoNotOptimize(kernels::quantize_row(row.values.data(), row.size, 4, false, codes.data()));
    benchmark::ClobberMemory();
  }
  count_elements(state, row.size);
}
/// 16 rows: by the functions of a row, to codes and back, and by the one call.
using w4g32 = quant::weight<4, quant::group<32>>;
void quantize_and_dequantize_rows(benchmark::State& state) {
  const row_of_weights row(size_of(state));
  const std::size_t groups = w4g32::groups(row.size);
  matrix<float> weights(16, row.size), out(16, row.size);
  for (std::size_t r = 0; r != 16; ++r) std::ranges::copy(row.values, weights.row(r).begin());
  buffer<std::uint8_t> codes(row.size);
  buffer<simd::grid> grids(groups);
  for (auto _ : state) {
    for (std::size_t r = 0; r != 16; ++r) {
      quant::quantize_row<w4g32>(weights.row(r), nullptr, codes.data(), grids.data());
      quant::dequantize_row<w4g32>(std::span<const std::uint8_t>(codes), grids.data(), out.row(r).data());
    }
    benchmark::ClobberMemory();
  }
  count_elements(state, weights.size());
}
void fake_quantize(benchmark::State& state) {
  const row_of_weights row(size_of(state));
  matrix<float> weights(16, row.size), out(16, row.size);
  for (std::size_t r = 0; r != 16; ++r) std::ranges::copy(row.values, weights.row(r).begin());
  for (auto _ : state) {
    quant::fake_quantize<w4g32>(weights, out);
    benchmark::ClobberMemory();
  }
  count_elements(state, weights.size());
}
void softmax(benchmark::State& state) {
  row_of_weights row(size_of(state));
  for (auto _ : state) {
    kernels::softmax(row.values.data(), row.size);
    benchmark::ClobberMemory();
  }
  count_elements(state, row.size);
}

template <int Bits>
void unpack(benchmark::State& state) {
  const std::size_t depth = size_of(state);
  const buffer<std::uint8_t> packed(simd::packed_panel_size(Bits, depth), 0x5a);
  buffer<std::uint8_t> panel(simd::code_panel_size(depth));
  for (auto _ : state) {
    kernels::unpack<Bits>(packed.data(), depth, nullptr, panel.data());
    benchmark::ClobberMemory();
  }
  count_elements(state, depth * simd::panel_width);
}
template <int Bits>
void gemv(benchmark::State& state) {
  const row_of_weights x(size_of(state));
  const buffer<std::uint8_t> packed(simd::packed_panel_size(Bits, x.size), 0x5a);
  std::array<float, simd::panel_width> sums;
  for (auto _ : state) {
    kernels::gemv<Bits>(x.values.data(), x.size, packed.data(), sums.data());
    benchmark::DoNotOptimize(sums);
  }
  count_elements(state, x.size * simd::panel_width);
  bench::count(state, "packed bytes/s", static_cast<double>(packed.size()));
}
void dequantize_panel(benchmark::State& state) {
  const std::size_t depth = size_of(state);
  const buffer<std::uint8_t> codes(simd::code_panel_size(depth), 5);
  std::array<simd::grid, simd::panel_width> grids;
  grids.fill(four_bits.grid);
  buffer<float> panel(simd::float_panel_size(depth));
  for (auto _ : state) {
    kernels::dequantize_panel(codes.data(), 0, depth, grids.data(), panel.data());
    benchmark::ClobberMemory();
  }
  count_elements(state, depth * simd::panel_width);
}
template <class T>
void pack_panel(benchmark::State& state) {
  const std::size_t depth = size_of(state);
  const matrix<T> rows(simd::panel_width, depth, T{1});
  buffer<T> panel((depth + 3) / 4 * 4 * simd::panel_width);
  for (auto _ : state) {
    kernels::pack_panel(rows.view(), panel.data());
    benchmark::ClobberMemory();
  }
  count_elements(state, depth * simd::panel_width);
}

/// The widths of OPT-125M, and of a model of billions.
void widths(benchmark::internal::Benchmark* b) { b->Arg(768)->Arg(3072)->Arg(4096); }

BENCHMARK(quantize_row<direction::none>)->Name("quantize")->Apply(widths);
BENCHMARK(quantize_row<direction::numbers>)->Name("quantize/numbers")->Apply(widths);
BENCHMARK(quantize_row<direction::signs>)->Name("quantize/signs")->Apply(widths);
BENCHMARK(quantize_pair<direction::numbers>)->Name("quantize_pair/numbers")->Apply(widths);
BENCHMARK(quantize_pair<direction::signs>)->Name("quantize_pair/signs")->Apply(widths);
BENCHMARK(min_max<direction::none>)->Name("min_max")->Apply(widths);
BENCHMARK(min_max<direction::numbers>)->Name("min_max/numbers")->Apply(widths);
BENCHMARK(min_max<direction::signs>)->Name("min_max/signs")->Apply(widths);
BENCHMARK(quantize_token)->Apply(widths);
BENCHMARK(quantize_and_dequantize_rows)->Apply(widths);
BENCHMARK(fake_quantize)->Apply(widths);
BENCHMARK(softmax)->Arg(384)->Apply(widths);

BENCHMARK(unpack<2>)->Apply(widths);
BENCHMARK(unpack<3>)->Apply(widths);
BENCHMARK(unpack<4>)->Apply(widths);
BENCHMARK(unpack<8>)->Apply(widths);
BENCHMARK(gemv<2>)->Apply(widths);
BENCHMARK(gemv<4>)->Apply(widths);
BENCHMARK(dequantize_panel)->Apply(widths);
BENCHMARK(pack_panel<float>)->Name("pack_panel/floats")->Apply(widths);
BENCHMARK(pack_panel<std::uint8_t>)->Name("pack_panel/codes")->Apply(widths);

}  // namespace

int main(int argc, char** argv) { return zoqat::bench::run_benchmarks(argc, argv); }

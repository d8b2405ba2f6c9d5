// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/simd/default_kernels.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <thread>

namespace zoqat::bench {

/// Runs the benchmarks of a program, and says what they ran on.
inline int run_benchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("kernels", simd::default_kernels::name());
  benchmark::AddCustomContext("target", simd::default_kernels::target());
  benchmark::AddCustomContext("threads of the machine", std::to_string(std::thread::hardware_concurrency()));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

/// Rate of `work` per iteration, under that name.
inline void count(benchmark::State& state, const char* name, double work) {
  state.counters[name] = benchmark::Counter(work, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace zoqat::bench

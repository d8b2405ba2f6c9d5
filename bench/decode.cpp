// SPDX-License-Identifier: Apache-2.0
//
// Generation of one token after another by a deployed model of OPT-125M's shape: name/tokens seen before/threads.

#include "opt_step.hpp"
#include "program.hpp"

#include <zoqat/nn/generate.hpp>

#include <cstddef>
#include <vector>

namespace {

using namespace zoqat;
using namespace zoqat::bench;

template <class Scheme>
void decode(benchmark::State& state) {
  using model_type = nn::opt<Scheme>;
  model_type model = model_of<model_type>(model_variant::deployed);
  thread_pool pool(static_cast<std::size_t>(state.range(1)));
  nn::generator<model_type, thread_pool> generate(model, pool);
  const std::vector<nn::token> prompt(static_cast<std::size_t>(state.range(0)), 1);
  constexpr nn::token next = 2;
  generate.feed(prompt);
  for (auto _ : state) {
    if (generate.room() == 0) {
      state.PauseTiming();
      generate.reset();
      generate.feed(prompt);
      state.ResumeTiming();
    }
    benchmark::DoNotOptimize(generate.feed({&next, 1}).data());
  }
  count(state, "tokens/s", 1);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->Args({16, 1})->Args({16, 2})->Args({1024, 2});
  b->Iterations(128)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(decode<scheme_named<"w2a16g128">>)->Name("w2a16g128")->Apply(sizes);
BENCHMARK(decode<scheme_named<"w4a16g128">>)->Name("w4a16g128")->Apply(sizes);
BENCHMARK(decode<scheme_named<"w4a4">>)->Name("w4a4")->Apply(sizes);
BENCHMARK(decode<quant::full_precision>)->Name("f32")->Apply(sizes);

}  // namespace

int main(int argc, char** argv) { return zoqat::bench::run_benchmarks(argc, argv); }

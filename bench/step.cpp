// SPDX-License-Identifier: Apache-2.0
//
// Steps of training and forward passes of OPT-125M's shape under W4A4, without the head (the loss is the mean square
// of the final norm's output) and with it: name/sequences of 384 tokens/threads.

#include "opt_step.hpp"
#include "program.hpp"

#include <cstddef>

namespace {

using namespace zoqat;
using namespace zoqat::bench;
using model_type = nn::opt<scheme_named<"w4a4">>;

/// What a step or a pass needs, from a benchmark's arguments.
struct setting {
  model_type model;
  nn::token_batch batch;
  thread_pool pool;
  setting(benchmark::State& state, model_variant v)
      : model(model_of<model_type>(v)),
        batch(random_batch(static_cast<std::size_t>(state.range(0)), 384, opt_125m.vocabulary)),
        pool(static_cast<std::size_t>(state.range(1))) {}
};

template <model_variant Variant, zo::distribution Distribution, reduction How = reduction::final_norm>
void step(benchmark::State& state) {
  setting s(state, Variant);
  training_step<model_type, Distribution, thread_pool> run(s.model, Variant, s.batch, s.pool, How);
  run();  // the next one has an planned_update to make
  for (auto _ : state) run();
  count(state, "tokens/s", static_cast<double>(s.batch.tokens()));
}
template <reduction How = reduction::final_norm>
void forward(benchmark::State& state) {
  setting s(state, model_variant::deployed);
  inference<model_type, thread_pool> run(s.model, s.batch, s.pool, How);
  for (auto _ : state) run();
  count(state, "tokens/s", static_cast<double>(s.batch.tokens()));
}

void sizes(benchmark::internal::Benchmark* b) {
  b->Args({1, 1})->Args({1, 2})->Args({4, 1})->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK(forward<>)->Name("forward")->Apply(sizes);
BENCHMARK(step<model_variant::full, zo::rademacher>)->Name("step/full/rademacher")->Apply(sizes);
BENCHMARK(step<model_variant::full, zo::gaussian>)->Name("step/full/gaussian")->Apply(sizes);
BENCHMARK(step<model_variant::lightweight, zo::rademacher>)->Name("step/lightweight/rademacher")->Apply(sizes);
BENCHMARK(step<model_variant::lightweight, zo::gaussian>)->Name("step/lightweight/gaussian")->Apply(sizes);
BENCHMARK(forward<reduction::cross_entropy>)->Name("forward_with_head")->Apply(sizes);
BENCHMARK(step<model_variant::full, zo::gaussian, reduction::cross_entropy>)
    ->Name("step_with_head/full/gaussian")
    ->Apply(sizes);

}  // namespace

int main(int argc, char** argv) { return zoqat::bench::run_benchmarks(argc, argv); }

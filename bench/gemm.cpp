// SPDX-License-Identifier: Apache-2.0
//
// Products of deployed linear layers, activations quantized beforehand: name/tokens/outputs/inputs/threads.

#include "products.hpp"
#include "program.hpp"

#include <cstddef>

namespace {

using namespace zoqat;
using namespace zoqat::bench;

template <class Scheme>
void product(benchmark::State& state) {
  const auto size = [&](int i) { return static_cast<std::size_t>(state.range(i)); };
  const product_shape shape{size(0), size(1), size(2)};
  deployed_product<Scheme> layer(shape);
  thread_pool pool(size(3));
  const auto run = layer.on(pool);
  for (auto _ : state) run();
  count(state, "MAC/s", shape.products());
  count(state, "weight bytes/s", static_cast<double>(layer.weight_bytes()));
}

/// The shapes of OPT-125M and one of a model of billions, for many tokens, a few and one.
void layer_products(benchmark::internal::Benchmark* b) {
  for (const std::size_t tokens : {std::size_t{384}, std::size_t{512}})
    for (const product_shape s : layer_shapes(tokens))
      for (const std::int64_t threads : {1, 2})
        b->Args({std::int64_t(s.tokens), std::int64_t(s.out), std::int64_t(s.in), threads});
  for (const std::int64_t tokens : {1, 32})
    for (const std::int64_t threads : {1, 2}) b->Args({tokens, 4096, 4096, threads});
  b->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK(product<scheme_named<"w4a4">>)->Name("w4a4")->Apply(layer_products);
BENCHMARK(product<scheme_named<"w6a6">>)->Name("w6a6")->Apply(layer_products);
BENCHMARK(product<scheme_named<"w8a8">>)->Name("w8a8")->Apply(layer_products);
BENCHMARK(product<scheme_named<"w2a16g128">>)->Name("w2a16g128")->Apply(layer_products);
BENCHMARK(product<scheme_named<"w3a16g128">>)->Name("w3a16g128")->Apply(layer_products);
BENCHMARK(product<scheme_named<"w4a16g128">>)->Name("w4a16g128")->Apply(layer_products);
BENCHMARK(product<scheme_named<"q4_0">>)->Name("q4_0")->Apply(layer_products);
BENCHMARK(product<with_float_inputs<"q4_0">>)->Name("q4_0/float_inputs")->Apply(layer_products);
BENCHMARK(product<scheme_named<"q6_k">>)->Name("q6_k")->Apply(layer_products);
BENCHMARK(product<with_float_inputs<"q6_k">>)->Name("q6_k/float_inputs")->Apply(layer_products);
BENCHMARK(product<quant::full_precision>)->Name("f32")->Apply(layer_products);

}  // namespace

int main(int argc, char** argv) { return zoqat::bench::run_benchmarks(argc, argv); }

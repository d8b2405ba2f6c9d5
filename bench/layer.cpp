// SPDX-License-Identifier: Apache-2.0
//
// What a block of OPT-125M's shape is made of beside its products: name/tokens, one thread.

#include "opt_step.hpp"
#include "program.hpp"

#include <cstddef>
#include <cstdint>

namespace {

using namespace zoqat;
using namespace zoqat::bench;

/// Rows of one of the widths of a block.
matrix<float> rows(benchmark::State& state, std::size_t width) {
  matrix<float> x(static_cast<std::size_t>(state.range(0)), width);
  fill_normal(x.flat(), 1, 1);
  return x;
}
/// Times f(row, width) over all rows.
template <class F>
void each_row(benchmark::State& state, std::size_t width, F&& f) {
  matrix<float> x = rows(state, width);
  for (auto _ : state)
    for (std::size_t i = 0; i != x.rows(); ++i) f(x.row(i).data(), width);
  count(state, "elements/s", static_cast<double>(x.size()));
}

/// A whole block, deployed.
template <class Scheme>
void block(benchmark::State& state) {
  model_shape shape = opt_125m;
  shape.layers = 1;
  shape.vocabulary = 16;
  using model_type = nn::opt<Scheme>;
  model_type model = random_model<model_type>(shape);
  model.deploy();
  const nn::token_batch batch = random_batch(1, static_cast<std::size_t>(state.range(0)), shape.vocabulary);
  sequential here;
  inference<model_type, sequential> forward(model, batch, here);
  for (auto _ : state) forward();
  count(state, "tokens/s", static_cast<double>(batch.tokens()));
}

/// The input of a linear layer, smoothed and quantized.
void quantized_input(benchmark::State& state) {
  const matrix<float> x = rows(state, static_cast<std::size_t>(state.range(1)));
  nn::parameter_ids ids;
  const nn::smoothing smooth(ids, "input", x.cols());
  nn::token_batch batch;
  batch.add(std::vector<nn::token>(x.rows()));
  nn::workspace work;
  constexpr inference_lane lane;
  sequential here;
  const nn::forward_pass<kernels, inference_lane, sequential> pass{lane, here, batch, work};
  for (auto _ : state) benchmark::DoNotOptimize(nn::linear_input<scheme_named<"w4a4">>(pass, x, smooth).codes.data());
  count(state, "elements/s", static_cast<double>(x.size()));
}
/// All heads.
void attention(benchmark::State& state) {
  const matrix<float> x = rows(state, opt_125m.hidden);
  matrix<float> mixed(x.rows(), x.cols());
  const auto size = opt_125m.head_size;
  for (auto _ : state)
    for (std::size_t head = 0; head != opt_125m.heads; ++head) {
      const auto of_head = x.view().col_block(head * size, size);
      nn::attend<kernels>(of_head, of_head, of_head, mixed.view().col_block(head * size, size));
    }
  count(state, "tokens/s", static_cast<double>(x.rows()));
}
void layer_norm(benchmark::State& state) {
  const buffer<float> gain(opt_125m.hidden, 1), bias(opt_125m.hidden, 0);
  each_row(state, opt_125m.hidden,
           [&](float* x, std::size_t n) { kernels::layer_norm(x, gain.data(), bias.data(), 1e-5f, x, n); });
}
void rms_norm(benchmark::State& state) {
  const buffer<float> gain(opt_125m.hidden, 1);
  each_row(state, opt_125m.hidden, [&](float* x, std::size_t n) { kernels::rms_norm(x, gain.data(), 1e-5f, x, n); });
}
template <void (*Function)(float*, std::size_t) noexcept>
void rowwise(benchmark::State& state) {
  each_row(state, static_cast<std::size_t>(state.range(1)), Function);
}

/// The head on every token and the loss.
void cross_entropy(benchmark::State& state) {
  model_shape shape = opt_125m;
  shape.layers = 0;
  using model_type = nn::opt<quant::full_precision>;
  model_type model = random_model<model_type>(shape);
  const nn::token_batch batch = random_batch(1, static_cast<std::size_t>(state.range(0)), shape.vocabulary);
  sequential here;
  inference<model_type, sequential> forward(model, batch, here, reduction::cross_entropy);
  for (auto _ : state) forward();
  count(state, "tokens/s", static_cast<double>(batch.tokens()));
}

constexpr auto us = benchmark::kMicrosecond;
BENCHMARK(block<scheme_named<"w4a4">>)->Name("block/w4a4")->Arg(384)->Unit(us);
BENCHMARK(block<scheme_named<"w4a16g128">>)->Name("block/w4a16g128")->Arg(384)->Unit(us);
BENCHMARK(block<quant::full_precision>)->Name("block/f32")->Arg(384)->Unit(us);
BENCHMARK(quantized_input)->Args({384, 768})->Args({384, 3072})->Unit(us);
BENCHMARK(attention)->Arg(384)->Arg(1536)->Unit(us);
BENCHMARK(layer_norm)->Arg(384)->Unit(us);
BENCHMARK(rms_norm)->Arg(384)->Unit(us);
BENCHMARK(rowwise<kernels::softmax>)->Name("softmax")->Args({384, 384})->Unit(us);
BENCHMARK(rowwise<kernels::relu>)->Name("relu")->Args({384, 3072})->Unit(us);
BENCHMARK(rowwise<kernels::silu>)->Name("silu")->Args({384, 3072})->Unit(us);
BENCHMARK(rowwise<kernels::gelu_tanh>)->Name("gelu_tanh")->Args({384, 3072})->Unit(us);
BENCHMARK(rowwise<kernels::gelu_erf>)->Name("gelu_erf")->Args({384, 3072})->Unit(us);
BENCHMARK(cross_entropy)->Arg(384)->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) { return zoqat::bench::run_benchmarks(argc, argv); }

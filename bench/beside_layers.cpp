// SPDX-License-Identifier: Apache-2.0
//
// What training beside frozen layers takes: of one block of OPT-1.3B with random weights, the parameters that train,
// the bytes that are held, and the processor time of a pass of two lanes, for each choice of finetune's --trains.
//
//   beside_layers [TOKENS [PASSES]]

#include "shapes.hpp"  // OPT's sizes

#include <zoqat/core/executor.hpp>    // sequential: processor time of one thread
#include <zoqat/nn/opt.hpp>           // the block
#include <zoqat/nn/prefix.hpp>        // add_prefix
#include <zoqat/nn/storage_plan.hpp>  // storage_plan
#include <zoqat/quant/scheme.hpp>     // W2A16g128, W4A4
#include <zoqat/random/stream.hpp>    // engine
#include <zoqat/simd/default_kernels.hpp>
#include <zoqat/zo/perturbation.hpp>  // lanes

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace zoqat;

using w2a16g128 =
    quant::scheme<quant::weight<2, quant::group<128>, quant::asymmetric, quant::clip::none, quant::fp16_scale>>;
using w4a4 = quant::scheme<quant::weight<4>, quant::activation<4>>;

struct choice {
  std::string_view name;
  nn::storage_plan plan;
  bool prefix = false;
};
std::vector<choice> choices() {
  const std::vector<std::string> queries_and_values{"*.q_proj", "*.v_proj"};
  return {{"full", {.trained = {"*"}}},
          {"lightweight", {}},
          {"lora, rank 8", {.trained = {}, .adapters = {.layers = queries_and_values}}},
          {"prefix of 5", {.trained = {}}, true},
          {"scales", {.trained = {}, .steps = true}},
          {"norms", {.trained = {}, .norms = true}},
          {"biases", {.trained = {}, .biases = true}}};
}

/// A block with a vocabulary of its own, so that nothing else is large.
template <class Scheme>
nn::opt<Scheme> block_of(model_shape shape, const choice& of) {
  shape.layers = 1;
  shape.vocabulary = 64;
  rng::engine draw({.seed = 1, .use = rng::purpose::data});
  const auto fill = [&](nn::trainable& t) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(t.cols()));
    for (float& x : t.values().flat()) x = t.rows() == 1 ? 1.0f : (2 * draw.uniform() - 1) * scale;
  };
  auto model = nn::opt<Scheme>::build(shape, fill, of.plan);
  sequential here;
  if (of.prefix) nn::add_prefix(model, std::array<nn::token, 5>{1, 2, 3, 4, 5}, here);
  return model;
}

template <class Scheme>
void measure(std::string_view name, const model_shape& shape, std::size_t tokens, std::size_t passes) {
  double first = 0;
  for (const choice& of : choices()) {
    auto model = block_of<Scheme>(shape, of);
    std::size_t training = 0, held = 0;
    model.for_each_parameter([&](const parameter& p) {
      if (p.name.starts_with("model.layers.0.")) training += p.size();
    });
    model.for_each_shared_input([&](auto&& input) {
      for (const auto* layer : input.layers) held += layer->held_bytes();
    });
    model.for_each_prefix([&](const nn::kv_prefix& prefix) { held += prefix.held_bytes(); });
    const std::array<zo::perturbation, 2> points{zo::perturbation{{1, 2, 3}, per_group<float>::all(0.01f)},
                                                 zo::perturbation{{1, 2, 3}, per_group<float>::all(-0.01f)}};
    const zo::lanes<zo::rademacher> lanes({points, {}});
    nn::token_batch batch;
    for (std::size_t at = 0; at < tokens; at += 128) {
      std::vector<nn::token> text(std::min<std::size_t>(128, tokens - at));
      for (std::size_t i = 0; i != text.size(); ++i) text[i] = static_cast<nn::token>((at + 7 * i) % 64);
      batch.add(text);
    }
    nn::workspace work;
    sequential here;
    const nn::forward_pass<simd::default_kernels, zo::lanes<zo::rademacher>, sequential> pass{lanes, here, batch,
                                                                                              work};
    double least = 0;
    for (std::size_t i = 0; i <= passes; ++i) {  // the first one warms up
      const std::clock_t start = std::clock();
      model.forward(pass);
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      if (i == 1 || (i > 1 && seconds < least)) least = seconds;
    }
    if (first == 0) first = least;
    fmt::print("| {} | {} | {} | {:.2f} | {:.0f} | {:.2f} |\n", name, of.name, training,
               static_cast<double>(held) / 1e6, 1e3 * least, least / first);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t tokens = 512, passes = 3;
  CLI::App app("What training beside frozen layers takes, of a block of OPT-1.3B");
  app.add_option("tokens", tokens, "tokens on each of two lanes")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("passes", passes, "passes of which the least is taken")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  fmt::print("{} tokens on each of 2 lanes, {}\n\n", tokens, simd::default_kernels::target());
  fmt::print(
      "| scheme | what trains | parameters | MB of a block | ms a pass | of full |\n|---|---|---|---|---|---|\n");
  measure<w4a4>("W4A4", bench::opt_1_3b, tokens, passes);
  measure<w2a16g128>("W2A16g128", bench::opt_1_3b, tokens, passes);
}

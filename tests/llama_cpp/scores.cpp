// SPDX-License-Identifier: Apache-2.0
//
// scores MODEL TOKENIZER TEXT CHUNKS: what this library makes of a text, as JSON, a line each: the tokens of every
// document, and of the first chunks of 256 tokens the logarithm of every token's probability. compare.mjs reads it.

#include "scores.hpp"

#include <zoqat/nn/opt.hpp>
#include <zoqat/nn/qwen3.hpp>

using namespace zoqat;

namespace {

template <class Model>
void load_and_score(const io::model_source& source, char** arguments) {
  auto model = io::load<Model>(source);
  testing::print_scores(model, arguments[1], arguments[2], std::strtoul(arguments[3], nullptr, 10));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc == 5, "usage: scores MODEL TOKENIZER TEXT CHUNKS");
    const io::model_source source = io::open_model(argv[1]);
    const model_kind kind = source.shape().kind;
    if (kind.family == model_family::qwen3)
      load_and_score<nn::qwen3<quant::full_precision>>(source, argv + 1);
    else if (kind.family == model_family::opt && kind.activation == activation_function::relu)
      load_and_score<nn::opt<quant::full_precision>>(source, argv + 1);
    else if (kind.family == model_family::opt)
      load_and_score<nn::opt<quant::full_precision, nn::gelu_tanh>>(source, argv + 1);
    else
      load_and_score<nn::llama<quant::full_precision>>(source, argv + 1);
  } catch (const std::exception& e) {
    fmt::print(stderr, "scores: {}\n", e.what());
    return 1;
  }
}

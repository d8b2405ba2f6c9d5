// SPDX-License-Identifier: Apache-2.0
//
// scores MODEL TOKENIZER TEXT CHUNKS: what this library makes of a text, as JSON, a line each: the tokens of every
// document, and of the first chunks of 256 tokens the logarithm of every token's probability. compare.mjs reads it.

#include "scores.hpp"

using namespace zoqat;

int main(int argc, char** argv) {
  try {
    require(argc == 5, "usage: scores MODEL TOKENIZER TEXT CHUNKS");
    auto model = io::load<nn::llama<quant::full_precision>>(io::open_model(argv[1]));
    testing::print_scores(model, argv[2], argv[3], std::strtoul(argv[4], nullptr, 10));
  } catch (const std::exception& e) {
    fmt::print(stderr, "scores: {}\n", e.what());
    return 1;
  }
}

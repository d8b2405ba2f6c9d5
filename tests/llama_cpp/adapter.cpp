// SPDX-License-Identifier: Apache-2.0
//
// adapter MODEL TOKENIZER TEXT CHUNKS WORK: rounds a base model to nearest in 4 bits, with random low-rank adapters
// beside its linear layers, writes the layers to WORK/model.gguf, exactly as F32, and the adapters to
// WORK/adapter.gguf, and prints what scores.cpp prints. compare.mjs reads it, with WORK/adapter.gguf as a last
// argument.

#include "scores.hpp"

#include <zoqat/io/gguf/adapter_export.hpp>
#include <zoqat/io/gguf/llama_export.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/random/gaussian.hpp>
#include <zoqat/text/gguf_vocabulary.hpp>

#include <filesystem>

using namespace zoqat;

namespace {

using scheme =
    quant::scheme<quant::weight<4, quant::group<32>, quant::signed_symmetric, quant::clip::codes, quant::fp16_scale>>;

void export_and_score(char** arguments) {
  const std::filesystem::path folder = arguments[4];
  auto model = io::load<nn::llama<scheme>>(io::open_model(arguments[0]));
  ptq::round_to_nearest(model);
  model.store({.trained = {}, .adapters = {.layers = {"*"}, .rank = 4, .alpha = 6}});
  model.for_each_parameter([](const parameter& p) {
    if (!p.name.ends_with(".lora_B.weight")) return;
    rng::gaussian({.seed = 1, .tensor = p.id}, 0, p.values);
    for (float& x : p.values) x *= 0.1f;
  });
  model.deploy();
  io::save_quantized(folder / "model.safetensors", model, "4 bits");
  const io::safetensors_file saved(folder / "model.safetensors");
  const io::gguf::export_types types{.adapters_apart = true};
  io::gguf::export_trained<scheme>(saved, types)
      .write(folder / "model.gguf", text::read_vocabulary_metadata(arguments[1], model.shape().vocabulary));
  io::gguf::export_adapters(folder / "adapter.gguf", saved, types);
  testing::print_scores(model, arguments[1], arguments[2], std::strtoul(arguments[3], nullptr, 10));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc == 6, "usage: adapter MODEL TOKENIZER TEXT CHUNKS WORK");
    export_and_score(argv + 1);
  } catch (const std::exception& e) {
    fmt::print(stderr, "adapter: {}\n", e.what());
    return 1;
  }
}

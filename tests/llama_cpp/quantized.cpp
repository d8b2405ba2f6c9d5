// SPDX-License-Identifier: Apache-2.0
//
// quantized SCHEME MODEL TOKENIZER TEXT CHUNKS WORK: takes a model that `zeroqat train` saved under a scheme whose
// weights GGUF holds, or rounds a base model to nearest under it, writes it to WORK/model.gguf, and prints what
// scores.cpp prints, as this library computes it under the scheme: with inputs in blocks of 8 bits, in integers.
// compare.mjs reads it.

#include "scores.hpp"

#include <zoqat/io/gguf/llama_export.hpp>
#include <zoqat/io/quantized_model.hpp>
#include <zoqat/nn/storage_plan.hpp>
#include <zoqat/ptq/round_to_nearest.hpp>
#include <zoqat/quant/scheme_registry.hpp>
#include <zoqat/text/gguf_vocabulary.hpp>

#include <filesystem>

// To measure some of them: each takes a while to compile.
#ifndef ZOQAT_LLAMA_CPP_SCHEMES
#define ZOQAT_LLAMA_CPP_SCHEMES "q8_0", "q5_0", "q5_1", "q4_0", "q4_1", "q2_0", "q6_k", "q5_k", "q4_k", "q3_k", "q2_k"
#endif

using namespace zoqat;

namespace {

using schemes = quant::standard_schemes::only<ZOQAT_LLAMA_CPP_SCHEMES>;

template <class Scheme>
nn::llama<Scheme> model_of(const std::filesystem::path& path) {
  if (path.extension() == ".safetensors") return io::load_quantized<nn::llama<Scheme>>(io::safetensors_file(path));
  auto model = io::load<nn::llama<Scheme>>(io::open_model(path));
  ptq::round_to_nearest(model);
  model.deploy();
  return model;
}

template <class Scheme>
void export_and_score(char** arguments) {
  const std::filesystem::path folder = arguments[5];
  auto model = model_of<Scheme>(arguments[1]);
  io::save_quantized(folder / "model.safetensors", model, arguments[0]);
  const io::safetensors_file saved(folder / "model.safetensors");
  const auto type = io::gguf::type_of<typename Scheme::weight_type>();
  const auto file =
      io::gguf::export_trained<Scheme>(saved, {.weights = type.value(),
                                               .embeddings = io::gguf::tensor_type::f32,
                                               .fill_stream = io::gguf::info_of(type.value()).elements > 64});
  file.write(folder / "model.gguf", text::read_vocabulary_metadata(arguments[2], model.shape().vocabulary));
  for (const std::string& note : file.notes()) fmt::print(stderr, "{}\n", note);
  testing::print_scores(model, arguments[2], arguments[3], std::strtoul(arguments[4], nullptr, 10));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc == 7, "usage: quantized SCHEME MODEL TOKENIZER TEXT CHUNKS WORK");
    schemes::with(argv[1], [&]<class Scheme>() { export_and_score<Scheme>(argv + 1); });
  } catch (const std::exception& e) {
    fmt::print(stderr, "quantized: {}\n", e.what());
    return 1;
  }
}

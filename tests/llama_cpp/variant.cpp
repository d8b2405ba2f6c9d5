// SPDX-License-Identifier: Apache-2.0
//
// variant MODEL FOLDER NAME: writes a checkpoint of another family with the weights of a LLaMA, a Hugging Face
// folder, and random values for what the other family has beside them. It writes no sense, but its numbers can be
// compared.

#include <support/tiny_llama.hpp>
#include <zoqat/io/load.hpp>
#include <zoqat/io/model_config.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/random/stream.hpp>

#include <fmt/core.h>

#include <cstddef>
#include <exception>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace zoqat;

namespace {

const std::map<std::string_view, io::json> variants{
    {"qwen2", {{"architectures", {"Qwen2ForCausalLM"}}, {"model_type", "qwen2"}, {"rope_theta", 1e6}}},
    {"qwen3", {{"architectures", {"Qwen3ForCausalLM"}}, {"model_type", "qwen3"}, {"rope_theta", 1e6}}},
    {"biases", {{"attention_bias", true}, {"mlp_bias", true}}},
    {"linear", {{"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}}}},
    {"llama3",
     {{"rope_scaling",
       {{"rope_type", "llama3"},
        {"factor", 8.0},
        {"low_freq_factor", 1.0},
        {"high_freq_factor", 4.0},
        {"original_max_position_embeddings", 64}}}}}};

void write_variant(const char* from, const char* folder, std::string_view name) {
  const io::model_source source = io::open_model(from);
  io::json config = testing::tiny_config(source.shape());
  config["head_dim"] = source.shape().head_size;
  config.update(variants.at(name));
  const model_shape shape = io::parse_model_config(config, "the variant");
  std::vector<std::vector<float>> values;
  std::vector<io::tensor_view> tensors;
  io::for_each_tensor(shape, [&](const std::string& tensor, std::span<const std::size_t> extents) {
    auto& x = values.emplace_back(*io::checked_product(extents));
    rng::engine draw({.seed = 7, .tensor = static_cast<std::uint32_t>(values.size()), .use = rng::purpose::data});
    const io::tensor_view* const own = source.find(tensor);
    if (own)
      io::read_f32(source, *own, 0, x);
    else
      for (float& v : x) v = (tensor.find("norm") != tensor.npos ? 1.0f : 0.0f) + 0.4f * (draw.uniform() - 0.5f);
    tensors.push_back({tensor, io::dtype::f32, {extents.begin(), extents.end()}, {}, "memory"});
  });
  for (std::size_t i = 0; i != tensors.size(); ++i) tensors[i].data = std::as_bytes(std::span(values[i]));
  testing::write_hugging_face(folder, config, tensors);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    require(argc == 4, "usage: variant MODEL FOLDER NAME");
    write_variant(argv[1], argv[2], argv[3]);
  } catch (const std::exception& e) {
    fmt::print(stderr, "variant: {}\n", e.what());
    return 1;
  }
}

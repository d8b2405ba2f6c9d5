// SPDX-License-Identifier: Apache-2.0
#include <zoqat/io/load.hpp>

#include <doctest/doctest.h>
#include <support/errors.hpp>
#include <support/files.hpp>
#include <support/random_model.hpp>
#include <support/reference_llama.hpp>
#include <support/tiny_llama.hpp>
#include <zoqat/core/numeric.hpp>
#include <zoqat/io/gguf/llama_export.hpp>
#include <zoqat/io/model_source.hpp>
#include <zoqat/nn/llama.hpp>
#include <zoqat/nn/qwen3.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

using namespace zoqat;
using namespace zoqat::testing;

namespace {

/// A checkpoint of a family as its users have it: what its configuration says beside the sizes.
struct family {
  const char *type, *architecture;
  io::json settings;
};

const std::array<family, 8> families{{
    {"llama", "LlamaForCausalLM", {}},
    {"llama", "LlamaForCausalLM", {{"attention_bias", true}, {"mlp_bias", true}, {"head_dim", 6}}},
    {"llama",
     "LlamaForCausalLM",
     {{"rope_theta", 500000.0},
      {"rope_scaling",
       {{"rope_type", "llama3"},
        {"factor", 8.0},
        {"low_freq_factor", 1.0},
        {"high_freq_factor", 4.0},
        {"original_max_position_embeddings", 32}}}}},
    {"llama", "LlamaForCausalLM", {{"rope_parameters", {{"type", "linear"}, {"factor", 2.0}, {"rope_theta", 1e4}}}}},
    {"mistral", "MistralForCausalLM", {{"sliding_window", 40}, {"head_dim", nullptr}}},
    {"qwen2", "Qwen2ForCausalLM", {{"use_sliding_window", false}, {"sliding_window", 8}, {"rope_theta", 1e6}}},
    {"qwen3", "Qwen3ForCausalLM", {{"head_dim", 6}, {"rope_theta", 1e6}}},
    {"qwen3", "Qwen3ForCausalLM", {{"head_dim", 6}, {"attention_bias", true}}},
}};

io::json config_of(const family& f, bool tied) {
  io::json config = {{"architectures", {f.architecture}},
                     {"model_type", f.type},
                     {"hidden_size", 20},
                     {"intermediate_size", 27},
                     {"num_hidden_layers", 2},
                     {"num_attention_heads", 10},
                     {"num_key_value_heads", 5},
                     {"vocab_size", 31},
                     {"max_position_embeddings", 64},
                     {"rms_norm_eps", 1e-5},
                     {"hidden_act", "silu"},
                     {"tie_word_embeddings", tied}};
  for (const auto& [key, value] : f.settings.items()) config[key] = value;
  return config;
}

/// The tensors of a checkpoint with random values, in a floating type of files.
struct checkpoint {
  std::vector<std::vector<std::uint16_t>> halves;
  std::vector<std::vector<float>> floats;
  std::vector<io::tensor_view> views;

  checkpoint(const model_shape& shape, io::dtype type) {
    std::uint32_t name = 7000;
    io::for_each_tensor(shape, [&](const std::string& tensor, std::span<const std::size_t> extents) {
      const bool norm = tensor.find("norm") != std::string::npos, bias = tensor.ends_with(".bias");
      const float scale = extents.size() == 1 ? 0.3f : std::sqrt(3.0f / static_cast<float>(extents[1]));
      std::vector<float> values = random_floats(*io::checked_product(extents), name++, scale);
      for (float& x : values) x += norm && !bias ? 1.0f : 0.0f;
      std::vector<std::uint16_t> bits;
      for (float& x : values) {
        if (type == io::dtype::f16) bits.push_back(fp16(x).bits), x = static_cast<float>(fp16(x));
        if (type == io::dtype::bf16) bits.push_back(bf16(x).bits), x = static_cast<float>(bf16(x));
      }
      const auto& f = floats.emplace_back(std::move(values));
      const auto& h = halves.emplace_back(std::move(bits));
      views.push_back({tensor,
                       type,
                       {extents.begin(), extents.end()},
                       type == io::dtype::f32 ? std::as_bytes(std::span(f)) : std::as_bytes(std::span(h)),
                       "memory"});
    });
  }
  void write(const std::filesystem::path& folder, const io::json& config, bool sharded) const {
    if (!sharded) return write_hugging_face(folder, config, views);
    std::filesystem::create_directories(folder);
    write_file(folder / "config.json", config.dump());
    const std::size_t half = views.size() / 2;
    const std::span all(views);
    io::write_safetensors(folder / "model-1.safetensors", all.first(half));
    io::write_safetensors(folder / "model-2.safetensors", all.subspan(half));
    io::json index = {{"weight_map", io::json::object()}};
    for (std::size_t i = 0; i != views.size(); ++i)
      index["weight_map"][views[i].name] = i < half ? "model-1.safetensors" : "model-2.safetensors";
    write_file(folder / "model.safetensors.index.json", index.dump());
  }
};

/// What the file at `path` computes, beside the tensors of a checkpoint of that shape.
template <class Model>
void check_logits(const std::filesystem::path& path, const model_shape& shape, const checkpoint& stored) {
  auto model = io::load<Model>(io::open_model(path));
  Model zeros(shape);
  reference_llama reference(zeros);
  for (std::size_t i = 0; i != stored.views.size(); ++i) reference.set(stored.views[i].name, stored.floats[i]);
  constexpr std::array<std::size_t, 3> lengths{40, 1, 9};
  CHECK(largest_difference(model, reference, random_batch(lengths, 31, 20)) < 2e-4);
}

void check_family(const std::filesystem::path& path, const model_shape& shape, const checkpoint& stored) {
  if (shape.kind.family == model_family::qwen3)
    check_logits<nn::qwen3<quant::full_precision>>(path, shape, stored);
  else
    check_logits<nn::llama<quant::full_precision>>(path, shape, stored);
}

}  // namespace

TEST_CASE("checkpoints of every family compute what a forward pass in double does") {
  const temporary_folder folder;
  int n = 0;
  for (const family& f : families)
    for (const io::dtype type : {io::dtype::f32, io::dtype::f16, io::dtype::bf16}) {
      const bool tied = n % 2 == 0, sharded = n % 3 == 1;
      CAPTURE(f.type);
      CAPTURE(n);
      const io::json config = config_of(f, tied);
      const model_shape shape = io::parse_model_config(config, "config");
      const checkpoint stored(shape, type);
      const auto path = folder / std::to_string(n++);
      stored.write(path, config, sharded);
      check_family(path, shape, stored);
    }
  CHECK(n == 24);
}

TEST_CASE("GGUF files of every family compute what a forward pass in double does with the checkpoint") {
  const temporary_folder folder;
  std::vector<std::string> architectures;
  for (const family& f : families) {
    CAPTURE(f.type);
    io::json config = config_of(f, architectures.size() % 2 == 0);
    config["head_dim"] = 6;  // so that it matters which elements are pairs
    const model_shape shape = io::parse_model_config(config, "config");
    const checkpoint stored(shape, io::dtype::f32);
    stored.write(folder / "checkpoint", config, false);
    const io::model_source source = io::open_model(folder / "checkpoint");
    if (shape.kind.family == model_family::qwen3 && shape.biases.any()) {  // engines have no such architecture
      check_mentions(message_of<io_error>([&] { static_cast<void>(io::gguf::export_base(source, {})); }), "qwen3",
                     "with biases");
      continue;
    }
    io::gguf::export_base(source, {}).write(folder / "model.gguf", {});
    check_family(folder / "model.gguf", shape, stored);
    architectures.push_back(io::gguf::file(folder / "model.gguf").get<std::string>("general.architecture"));
  }
  CHECK(architectures == std::vector<std::string>{"llama", "llama", "llama", "llama", "llama", "qwen2", "qwen3"});
}

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/files.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/safetensors.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace zoqat::testing {

/// A decoder of a few hundred weights, every size another one.
inline model_shape tiny_shape(bool tied) {
  return {.hidden = 8,
          .intermediate = 6,
          .layers = 3,
          .heads = 4,
          .kv_heads = 2,
          .head_size = 2,
          .vocabulary = 5,
          .positions = 7,
          .norm_epsilon = 1e-5f,
          .rope_theta = 1e4f,
          .rope = rope_pairing::half_split,
          .tied_head = tied};
}

/// A llama2.c checkpoint of `tiny_shape` whose floats count 0, 1, 2, ...
inline std::string tiny_llama2c(bool tied) {
  const std::array<std::int32_t, 7> header{8, 6, 3, 4, 2, tied ? 5 : -5, 7};
  const int embedding = 5 * 8, queries = 8 * 8, keys = 4 * 8, mlp = 6 * 8, norm = 8, rotary = 7 * 1;
  const int layer = 2 * norm + 2 * queries + 2 * keys + 3 * mlp;
  const int floats = embedding + 3 * layer + norm + 2 * rotary + (tied ? 0 : embedding);
  std::string bytes;
  append_value(bytes, header);
  for (int i = 0; i != floats; ++i) append_value(bytes, static_cast<float>(i));
  return bytes;
}

/// Tensors together with the memory they lie in.
class tensor_collection {
 public:
  /// Adds a tensor of floats that count from `first`.
  void add(std::string name, std::vector<std::size_t> shape, float first) {
    auto& values = storage_.emplace_back(*io::checked_product(shape));
    std::iota(values.begin(), values.end(), first);
    views_.push_back({std::move(name), io::dtype::f32, std::move(shape), std::as_bytes(std::span(values)), "memory"});
  }
  [[nodiscard]] std::vector<io::tensor_view>& views() noexcept { return views_; }

 private:
  std::vector<std::vector<float>> storage_;  // its elements' memory stays where it is
  std::vector<io::tensor_view> views_;
};

/// All tensors of a LLaMA decoder; the n-th counts from 1000 n.
inline tensor_collection tiny_tensors(const model_shape& shape) {
  tensor_collection tensors;
  for (const io::llama_entry& entry : io::llama_tensors)
    for (std::size_t layer = 0; layer != io::count_of(entry.tensor, shape); ++layer)
      tensors.add(io::name_of(entry.tensor, layer), io::shape_of(entry.tensor, shape),
                  1000.0f * static_cast<float>(tensors.views().size()));
  return tensors;
}

/// The config.json that belongs to `shape`.
inline io::json tiny_config(const model_shape& shape) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.intermediate},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"num_key_value_heads", shape.kv_heads},
          {"vocab_size", shape.vocabulary},
          {"max_position_embeddings", shape.positions},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", shape.tied_head}};
}

/// Writes `tensors` and a configuration as a Hugging Face folder.
inline void write_hugging_face(const std::filesystem::path& folder, const io::json& config,
                               std::span<const io::tensor_view> tensors) {
  std::filesystem::create_directories(folder);
  write_file(folder / "config.json", config.dump());
  io::write_safetensors(folder / "model.safetensors", tensors);
}
/// The same with the configuration of `shape`.
inline void write_hugging_face(const std::filesystem::path& folder, const model_shape& shape,
                               std::span<const io::tensor_view> tensors) {
  write_hugging_face(folder, tiny_config(shape), tensors);
}

}  // namespace zoqat::testing

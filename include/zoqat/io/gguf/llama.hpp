// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/name_map.hpp>

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// What GGUF files call the tensors of a decoder of LLaMA's kind, in the order of llama_tensor; `{}` stands for the
/// layer.
inline constexpr std::array<std::string_view, llama_tensors.size()> llama_names{
    "token_embd.weight",      "blk.{}.attn_norm.weight",   "blk.{}.attn_q.weight",
    "blk.{}.attn_q.bias",     "blk.{}.attn_q_norm.weight", "blk.{}.attn_k.weight",
    "blk.{}.attn_k.bias",     "blk.{}.attn_k_norm.weight", "blk.{}.attn_v.weight",
    "blk.{}.attn_v.bias",     "blk.{}.attn_output.weight", "blk.{}.attn_output.bias",
    "blk.{}.ffn_norm.weight", "blk.{}.ffn_gate.weight",    "blk.{}.ffn_gate.bias",
    "blk.{}.ffn_up.weight",   "blk.{}.ffn_up.bias",        "blk.{}.ffn_down.weight",
    "blk.{}.ffn_down.bias",   "output_norm.weight",        "output.weight"};
static_assert(!llama_names.back().empty(), "every llama_tensor has a name in GGUF");

[[nodiscard]] inline std::string file_name_of(llama_tensor tensor, std::size_t layer = 0) {
  return fmt::format(fmt::runtime(llama_names[static_cast<std::size_t>(tensor)]), layer);
}

/// An architecture of GGUF files whose models are of LLaMA's kind.
struct llama_architecture {
  std::string_view name;
  model_family family;
  rope_pairing rope;         ///< which elements of a head engines pair
  linear_biases may_have{};  ///< biases that engines load
  bool may_stretch = false;  ///< whether engines divide frequencies by the factors of `rope_freqs.weight`
};
inline constexpr std::array<llama_architecture, 3> llama_architectures{{
    {"llama", model_family::llama, rope_pairing::interleaved, true, true},
    {"qwen2", model_family::llama, rope_pairing::half_split, linear_biases::of_queries_keys_values()},
    {"qwen3", model_family::qwen3, rope_pairing::half_split},
}};

/// The architecture of that name, or null.
[[nodiscard]] constexpr const llama_architecture* find_llama_architecture(std::string_view name) noexcept {
  for (const llama_architecture& architecture : llama_architectures)
    if (architecture.name == name) return &architecture;
  return nullptr;
}
/// The architecture as which a model is written, or null where engines have none. A Qwen2 is a LLaMA with biases of
/// queries, keys and values: it goes by its own name, and the rows of its matrices stay where they are.
[[nodiscard]] constexpr const llama_architecture* llama_architecture_of(const model_shape& shape) noexcept {
  if (shape.kind.activation != activation_function::silu) return nullptr;
  const bool stretches = shape.rope_scaling.how == rope_scaling::kind::llama3;
  if (shape.kind.family == model_family::qwen3) {
    const bool fits = shape.rope == rope_pairing::half_split && !shape.biases.any() && !stretches;
    return fits ? find_llama_architecture("qwen3") : nullptr;
  }
  if (shape.kind.family != model_family::llama) return nullptr;
  const bool is_qwen2 =
      shape.rope == rope_pairing::half_split && !stretches && shape.biases == linear_biases::of_queries_keys_values();
  return find_llama_architecture(is_qwen2 ? "qwen2" : "llama");
}

/// The sizes of a model of LLaMA's kind as metadata.
[[nodiscard]] inline metadata llama_metadata(const model_shape& shape) {
  const llama_architecture* const architecture = llama_architecture_of(shape);
  require(architecture != nullptr, "gguf::llama_metadata: there is no architecture for such a model");
  const auto u32 = [](std::size_t x) { return static_cast<std::uint32_t>(x); };
  metadata entries{{"general.architecture", architecture->name}};
  const auto add = [&](std::string_view key, value x) {
    entries.emplace_back(fmt::format("{}.{}", architecture->name, key), std::move(x));
  };
  add("vocab_size", u32(shape.vocabulary));
  add("context_length", u32(shape.positions));
  add("embedding_length", u32(shape.hidden));
  add("block_count", u32(shape.layers));
  add("feed_forward_length", u32(shape.intermediate));
  add("attention.head_count", u32(shape.heads));
  add("attention.head_count_kv", u32(shape.kv_heads));
  add("attention.layer_norm_rms_epsilon", shape.norm_epsilon);
  add("rope.freq_base", shape.rope_theta);
  add("rope.dimension_count", u32(shape.head_size));
  if (shape.heads * shape.head_size != shape.hidden) {  // what readers take for granted otherwise
    add("attention.key_length", u32(shape.head_size));
    add("attention.value_length", u32(shape.head_size));
  }
  if (shape.rope_scaling.how == rope_scaling::kind::linear) {
    add("rope.scaling.type", "linear");
    add("rope.scaling.factor", shape.rope_scaling.factor);
  }
  return entries;
}

/// The row of a query or key matrix, or the element of its bias, that becomes number `row` of a file of that
/// architecture. Where its rotary embedding pairs neighbors, and the model's halves: of each head i and i + d/2.
[[nodiscard]] constexpr std::size_t source_row(std::size_t row, const model_shape& shape,
                                               const llama_architecture& architecture) noexcept {
  if (shape.rope == architecture.rope) return row;
  const std::size_t in_head = row % shape.head_size;
  return row - in_head + in_head / 2 + in_head % 2 * (shape.head_size / 2);
}

}  // namespace zoqat::io::gguf

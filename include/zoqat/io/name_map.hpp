// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/tensor.hpp>

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zoqat::inline ZOQAT_ABI::io {

/// The tensors of a decoder of LLaMA's kind, those that only some have among them. Matrices are stored [outputs,
/// inputs].
enum class llama_tensor : std::uint8_t {
  embedding,
  attention_norm,
  query,
  query_bias,
  query_norm,
  key,
  key_bias,
  key_norm,
  value,
  value_bias,
  attention_output,
  attention_output_bias,
  mlp_norm,
  gate,
  gate_bias,
  up,
  up_bias,
  down,
  down_bias,
  final_norm,
  head,
};

/// A size of the model that is an extent of its tensors.
enum class extent : std::uint8_t { none, vocabulary, hidden, intermediate, queries, keys, head, opt_positions };

/// When a tensor of the tables is there.
enum class presence : std::uint8_t {
  always,
  with_query_key_value_biases,
  with_attention_output_bias,
  with_mlp_biases,
  with_head_norms,
  with_own_head,
};

struct llama_entry {
  llama_tensor tensor;
  std::string_view name;  ///< as Hugging Face spells it; `{}` stands for the layer
  extent rows, cols;      ///< a vector has no columns
  presence when = presence::always;
};

/// The canonical names, under which every source of tensors answers, in the order of the enumerators.
inline constexpr std::array<llama_entry, 21> llama_tensors{{
    {llama_tensor::embedding, "model.embed_tokens.weight", extent::vocabulary, extent::hidden},
    {llama_tensor::attention_norm, "model.layers.{}.input_layernorm.weight", extent::hidden, extent::none},
    {llama_tensor::query, "model.layers.{}.self_attn.q_proj.weight", extent::queries, extent::hidden},
    {llama_tensor::query_bias, "model.layers.{}.self_attn.q_proj.bias", extent::queries, extent::none,
     presence::with_query_key_value_biases},
    {llama_tensor::query_norm, "model.layers.{}.self_attn.q_norm.weight", extent::head, extent::none,
     presence::with_head_norms},
    {llama_tensor::key, "model.layers.{}.self_attn.k_proj.weight", extent::keys, extent::hidden},
    {llama_tensor::key_bias, "model.layers.{}.self_attn.k_proj.bias", extent::keys, extent::none,
     presence::with_query_key_value_biases},
    {llama_tensor::key_norm, "model.layers.{}.self_attn.k_norm.weight", extent::head, extent::none,
     presence::with_head_norms},
    {llama_tensor::value, "model.layers.{}.self_attn.v_proj.weight", extent::keys, extent::hidden},
    {llama_tensor::value_bias, "model.layers.{}.self_attn.v_proj.bias", extent::keys, extent::none,
     presence::with_query_key_value_biases},
    {llama_tensor::attention_output, "model.layers.{}.self_attn.o_proj.weight", extent::hidden, extent::queries},
    {llama_tensor::attention_output_bias, "model.layers.{}.self_attn.o_proj.bias", extent::hidden, extent::none,
     presence::with_attention_output_bias},
    {llama_tensor::mlp_norm, "model.layers.{}.post_attention_layernorm.weight", extent::hidden, extent::none},
    {llama_tensor::gate, "model.layers.{}.mlp.gate_proj.weight", extent::intermediate, extent::hidden},
    {llama_tensor::gate_bias, "model.layers.{}.mlp.gate_proj.bias", extent::intermediate, extent::none,
     presence::with_mlp_biases},
    {llama_tensor::up, "model.layers.{}.mlp.up_proj.weight", extent::intermediate, extent::hidden},
    {llama_tensor::up_bias, "model.layers.{}.mlp.up_proj.bias", extent::intermediate, extent::none,
     presence::with_mlp_biases},
    {llama_tensor::down, "model.layers.{}.mlp.down_proj.weight", extent::hidden, extent::intermediate},
    {llama_tensor::down_bias, "model.layers.{}.mlp.down_proj.bias", extent::hidden, extent::none,
     presence::with_mlp_biases},
    {llama_tensor::final_norm, "model.norm.weight", extent::hidden, extent::none},
    {llama_tensor::head, "lm_head.weight", extent::vocabulary, extent::hidden, presence::with_own_head},
}};

/// Some checkpoints leave this out of their names, or put it before names that have none.
inline constexpr std::string_view optional_prefix = "model.";

/// Where embedding and head are one matrix: the names under which it may be stored, the one that counts first.
inline constexpr std::array<std::string_view, 2> tied_names{"model.embed_tokens.weight", "lm_head.weight"};

[[nodiscard]] constexpr const llama_entry& entry_of(llama_tensor tensor) noexcept {
  return llama_tensors[static_cast<std::size_t>(tensor)];
}

/// True of a tensor that every layer has.
template <class Entry>
[[nodiscard]] constexpr bool is_per_layer(const Entry& entry) noexcept {
  return entry.name.find("{}") != std::string_view::npos;
}
[[nodiscard]] constexpr bool is_per_layer(llama_tensor tensor) noexcept { return is_per_layer(entry_of(tensor)); }

/// Whether a model of that shape has the tensor of an entry.
template <class Entry>
[[nodiscard]] constexpr bool is_present(const Entry& entry, const model_shape& shape) noexcept {
  switch (entry.when) {
    case presence::with_query_key_value_biases:
      return shape.biases.query_key_value;
    case presence::with_attention_output_bias:
      return shape.biases.attention_output;
    case presence::with_mlp_biases:
      return shape.biases.mlp;
    case presence::with_head_norms:
      return shape.kind.family == model_family::qwen3;
    case presence::with_own_head:
      return !shape.tied_head;
    default:
      return true;
  }
}

/// How many of it a model has: none, one, or one for each layer.
template <class Entry>
[[nodiscard]] constexpr std::size_t count_of(const Entry& entry, const model_shape& shape) noexcept {
  if (!is_present(entry, shape)) return 0;
  return is_per_layer(entry) ? shape.layers : 1;
}
[[nodiscard]] constexpr std::size_t count_of(llama_tensor tensor, const model_shape& shape) noexcept {
  return count_of(entry_of(tensor), shape);
}

/// The canonical name; `layer` matters where `is_per_layer`.
[[nodiscard]] inline std::string name_of(llama_tensor tensor, std::size_t layer = 0) {
  return fmt::format(fmt::runtime(entry_of(tensor).name), layer);
}

[[nodiscard]] constexpr std::size_t size_of(extent extent, const model_shape& shape) noexcept {
  switch (extent) {
    case extent::vocabulary:
      return shape.vocabulary;
    case extent::hidden:
      return shape.hidden;
    case extent::intermediate:
      return shape.intermediate;
    case extent::queries:
      return shape.heads * shape.head_size;
    case extent::keys:
      return shape.kv_heads * shape.head_size;
    case extent::head:
      return shape.head_size;
    case extent::opt_positions:
      return shape.positions + opt_unused_positions;
    default:
      return 1;
  }
}

/// The shape that the tensor of an entry has in a model: [rows, cols] or [rows].
template <class Entry>
[[nodiscard]] std::vector<std::size_t> shape_of(const Entry& entry, const model_shape& shape) {
  std::vector<std::size_t> extents{size_of(entry.rows, shape)};
  if (entry.cols != extent::none) extents.push_back(size_of(entry.cols, shape));
  return extents;
}
[[nodiscard]] inline std::vector<std::size_t> shape_of(llama_tensor tensor, const model_shape& shape) {
  return shape_of(entry_of(tensor), shape);
}

namespace detail {

template <class Find>
const tensor_view* find_with_or_without_prefix(const Find& find, std::string_view name) {
  if (const tensor_view* tensor = find(name)) return tensor;
  if (name.starts_with(optional_prefix)) return find(name.substr(optional_prefix.size()));
  return find(std::string(optional_prefix).append(name));
}

// With `tied`, both of `ties` lead to the first of them that is there.
template <class Find>
const tensor_view* find_with_ties(const Find& find, std::string_view name, bool tied,
                                  const std::array<std::string_view, 2>& ties) {
  if (!tied || (name != ties[0] && name != ties[1])) return find_with_or_without_prefix(find, name);
  for (const std::string_view alias : ties)
    if (const tensor_view* tensor = find_with_or_without_prefix(find, alias)) return tensor;
  return nullptr;
}

}  // namespace detail

/// Looks a tensor up by its canonical name whatever the file calls it. `find` is a function from the exact name
/// to a tensor_view or null. With `tied`, both of `tied_names` lead to the same tensor.
template <class Find>
[[nodiscard]] const tensor_view* find_by_canonical_name(const Find& find, std::string_view name, bool tied) {
  return detail::find_with_ties(find, name, tied, tied_names);
}

}  // namespace zoqat::io

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/name_map.hpp>
#include <zoqat/io/tensor.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

struct opt_entry {
  std::string_view name;    ///< the canonical name; `{}` stands for the layer
  std::string_view stored;  ///< as Hugging Face spells it
  extent rows, cols;        ///< a vector has no columns
  presence when = presence::always;
};

/// The tensors of an OPT decoder. Those that LLaMA has too go by its names, so that all families have the same parts.
inline constexpr std::array<opt_entry, 21> opt_tensors{{
    {"model.embed_tokens.weight", "model.decoder.embed_tokens.weight", extent::vocabulary, extent::hidden},
    {"model.embed_positions.weight", "model.decoder.embed_positions.weight", extent::opt_positions, extent::hidden},
    {"model.layers.{}.input_layernorm.weight", "model.decoder.layers.{}.self_attn_layer_norm.weight", extent::hidden,
     extent::none},
    {"model.layers.{}.input_layernorm.bias", "model.decoder.layers.{}.self_attn_layer_norm.bias", extent::hidden,
     extent::none},
    {"model.layers.{}.self_attn.q_proj.weight", "model.decoder.layers.{}.self_attn.q_proj.weight", extent::queries,
     extent::hidden},
    {"model.layers.{}.self_attn.q_proj.bias", "model.decoder.layers.{}.self_attn.q_proj.bias", extent::queries,
     extent::none, presence::with_query_key_value_biases},
    {"model.layers.{}.self_attn.k_proj.weight", "model.decoder.layers.{}.self_attn.k_proj.weight", extent::keys,
     extent::hidden},
    {"model.layers.{}.self_attn.k_proj.bias", "model.decoder.layers.{}.self_attn.k_proj.bias", extent::keys,
     extent::none, presence::with_query_key_value_biases},
    {"model.layers.{}.self_attn.v_proj.weight", "model.decoder.layers.{}.self_attn.v_proj.weight", extent::keys,
     extent::hidden},
    {"model.layers.{}.self_attn.v_proj.bias", "model.decoder.layers.{}.self_attn.v_proj.bias", extent::keys,
     extent::none, presence::with_query_key_value_biases},
    {"model.layers.{}.self_attn.o_proj.weight", "model.decoder.layers.{}.self_attn.out_proj.weight", extent::hidden,
     extent::queries},
    {"model.layers.{}.self_attn.o_proj.bias", "model.decoder.layers.{}.self_attn.out_proj.bias", extent::hidden,
     extent::none, presence::with_attention_output_bias},
    {"model.layers.{}.post_attention_layernorm.weight", "model.decoder.layers.{}.final_layer_norm.weight",
     extent::hidden, extent::none},
    {"model.layers.{}.post_attention_layernorm.bias", "model.decoder.layers.{}.final_layer_norm.bias", extent::hidden,
     extent::none},
    {"model.layers.{}.mlp.fc1.weight", "model.decoder.layers.{}.fc1.weight", extent::intermediate, extent::hidden},
    {"model.layers.{}.mlp.fc1.bias", "model.decoder.layers.{}.fc1.bias", extent::intermediate, extent::none,
     presence::with_mlp_biases},
    {"model.layers.{}.mlp.fc2.weight", "model.decoder.layers.{}.fc2.weight", extent::hidden, extent::intermediate},
    {"model.layers.{}.mlp.fc2.bias", "model.decoder.layers.{}.fc2.bias", extent::hidden, extent::none,
     presence::with_mlp_biases},
    {"model.norm.weight", "model.decoder.final_layer_norm.weight", extent::hidden, extent::none},
    {"model.norm.bias", "model.decoder.final_layer_norm.bias", extent::hidden, extent::none},
    {"lm_head.weight", "lm_head.weight", extent::vocabulary, extent::hidden, presence::with_own_head},
}};

/// What Hugging Face calls the tensor of a canonical name, or nothing where OPT has none of that name.
[[nodiscard]] inline std::optional<std::string> stored_opt_name(std::string_view name) {
  constexpr std::string_view layers = "model.layers.";
  std::string pattern(name), layer;
  if (name.starts_with(layers)) {
    const std::string_view rest = name.substr(layers.size());
    layer = rest.substr(0, rest.find('.'));
    pattern.replace(layers.size(), layer.size(), "{}");
  }
  const auto entry = std::ranges::find(opt_tensors, pattern, &opt_entry::name);
  if (entry == opt_tensors.end()) return std::nullopt;
  return fmt::format(fmt::runtime(entry->stored), layer);
}

/// Looks a tensor of OPT up by its canonical name, with or without the prefix that some checkpoints leave out. `find`
/// is a function from the exact name to a tensor_view or null. With `tied`, embedding and head are one tensor, stored
/// as one or the other or as both, of which the embedding counts.
template <class Find>
[[nodiscard]] const tensor_view* find_opt_tensor(const Find& find, std::string_view name, bool tied) {
  const auto stored = stored_opt_name(name);
  if (!stored) return nullptr;
  return detail::find_with_ties(find, *stored, tied, {"model.decoder.embed_tokens.weight", "lm_head.weight"});
}

}  // namespace zoqat::io

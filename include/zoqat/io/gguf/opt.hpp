// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/opt_name_map.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// OPT in GGUF files. Engines have no architecture of that name; `mpt` and `gpt2` compute the same where positions
/// are embedded and have no ALiBi. Their activation is the GELU by tanh, which is OPT's in some models; in others it
/// is ReLU, and c x in place of x, where what comes out is divided by c, leads there: with c = `opt_relu_factor`, a
/// power of two, within 0.17 / c of it, and no weight is rounded by that. `mpt` has tensors of such divisors.
namespace zoqat::inline ZOQAT_ABI::io::gguf {

/// A tensor of an OPT in a file of the architecture `mpt`, and the tensors whose rows are stacked in it; `{}` stands
/// for the layer.
struct opt_place {
  std::string_view name;
  std::array<std::string_view, 3> parts;
};
inline constexpr std::array<opt_place, 17> opt_places{{
    {"token_embd.weight", {"model.embed_tokens.weight"}},
    {"position_embd.weight", {"model.embed_positions.weight"}},
    {"blk.{}.attn_norm.weight", {"model.layers.{}.input_layernorm.weight"}},
    {"blk.{}.attn_norm.bias", {"model.layers.{}.input_layernorm.bias"}},
    {"blk.{}.attn_qkv.weight",
     {"model.layers.{}.self_attn.q_proj.weight", "model.layers.{}.self_attn.k_proj.weight",
      "model.layers.{}.self_attn.v_proj.weight"}},
    {"blk.{}.attn_qkv.bias",
     {"model.layers.{}.self_attn.q_proj.bias", "model.layers.{}.self_attn.k_proj.bias",
      "model.layers.{}.self_attn.v_proj.bias"}},
    {"blk.{}.attn_output.weight", {"model.layers.{}.self_attn.o_proj.weight"}},
    {"blk.{}.attn_output.bias", {"model.layers.{}.self_attn.o_proj.bias"}},
    {"blk.{}.ffn_norm.weight", {"model.layers.{}.post_attention_layernorm.weight"}},
    {"blk.{}.ffn_norm.bias", {"model.layers.{}.post_attention_layernorm.bias"}},
    {"blk.{}.ffn_up.weight", {"model.layers.{}.mlp.fc1.weight"}},
    {"blk.{}.ffn_up.bias", {"model.layers.{}.mlp.fc1.bias"}},
    {"blk.{}.ffn_down.weight", {"model.layers.{}.mlp.fc2.weight"}},
    {"blk.{}.ffn_down.bias", {"model.layers.{}.mlp.fc2.bias"}},
    {"output_norm.weight", {"model.norm.weight"}},
    {"output_norm.bias", {"model.norm.bias"}},
    {"output.weight", {"lm_head.weight"}},
}};

/// The sizes of an OPT as metadata of the architecture `mpt`, without what it has beside OPT.
[[nodiscard]] inline metadata opt_metadata(const model_shape& shape) {
  const auto u32 = [](std::size_t x) { return static_cast<std::uint32_t>(x); };
  return {{"general.architecture", "mpt"},
          {"mpt.context_length", u32(shape.positions)},
          {"mpt.embedding_length", u32(shape.hidden)},
          {"mpt.block_count", u32(shape.layers)},
          {"mpt.feed_forward_length", u32(shape.intermediate)},
          {"mpt.attention.head_count", u32(shape.heads)},
          {"mpt.attention.layer_norm_epsilon", shape.norm_epsilon},
          {"mpt.attention.max_alibi_bias", 0.0f}};
}

/// The greatest power of two by which weights still fit into half precision.
inline constexpr float opt_relu_factor = 4096;

/// What the divisors of a layer's activations are called.
[[nodiscard]] inline std::string opt_divisors_name(std::size_t layer) {
  return fmt::format("blk.{}.ffn.act.scales", layer);
}

/// Whether every layer has the tensors of a place.
[[nodiscard]] constexpr bool is_per_layer(const opt_place& place) noexcept {
  return place.name.find("{}") != place.name.npos;
}
/// The entry of OPT's table that part `i` of a place is, or null where the place has no such part or a model of that
/// shape does not have it.
[[nodiscard]] inline const opt_entry* part_of(const opt_place& place, std::size_t i, const model_shape& shape) {
  const auto entry = std::ranges::find(opt_tensors, place.parts[i], &opt_entry::name);
  return entry != opt_tensors.end() && is_present(*entry, shape) ? &*entry : nullptr;
}
/// Rows of a place's tensor that a file does not have.
[[nodiscard]] constexpr std::size_t absent_rows(const opt_place& place) noexcept {
  return place.name == "position_embd.weight" ? opt_unused_positions : 0;
}
/// Whether a place's values are taken times the divisor of activations.
[[nodiscard]] constexpr bool is_multiplied(const opt_place& place) noexcept {
  return place.name.find("ffn_up") != place.name.npos;
}

}  // namespace zoqat::io::gguf

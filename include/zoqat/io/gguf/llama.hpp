// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/gguf/value.hpp>
#include <zoqat/io/name_map.hpp>

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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

/// The architecture that computes what the blocks of nn::llama do.
inline constexpr std::string_view llama_architecture = "llama";

/// The sizes of a LLaMA model as metadata.
[[nodiscard]] inline metadata llama_metadata(const model_shape& shape) {
  const auto u32 = [](std::size_t x) { return static_cast<std::uint32_t>(x); };
  metadata entries{{"general.architecture", llama_architecture},
                   {"llama.vocab_size", u32(shape.vocabulary)},
                   {"llama.context_length", u32(shape.positions)},
                   {"llama.embedding_length", u32(shape.hidden)},
                   {"llama.block_count", u32(shape.layers)},
                   {"llama.feed_forward_length", u32(shape.intermediate)},
                   {"llama.attention.head_count", u32(shape.heads)},
                   {"llama.attention.head_count_kv", u32(shape.kv_heads)},
                   {"llama.attention.layer_norm_rms_epsilon", shape.norm_epsilon},
                   {"llama.rope.freq_base", shape.rope_theta},
                   {"llama.rope.dimension_count", u32(shape.head_size)}};
  if (shape.heads * shape.head_size != shape.hidden) {  // what readers take for granted otherwise
    entries.emplace_back("llama.attention.key_length", u32(shape.head_size));
    entries.emplace_back("llama.attention.value_length", u32(shape.head_size));
  }
  return entries;
}

/// The row of a query or key matrix that becomes row `row` of a file, whose rotary embedding pairs neighbors: of each
/// head the rows i and i + d/2 of a model that pairs halves.
[[nodiscard]] constexpr std::size_t source_row(std::size_t row, const model_shape& shape) noexcept {
  if (shape.rope == rope_pairing::interleaved) return row;
  const std::size_t in_head = row % shape.head_size;
  return row - in_head + in_head / 2 + in_head % 2 * (shape.head_size / 2);
}

}  // namespace zoqat::io::gguf

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/config_settings.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/rope_config.hpp>
#include <zoqat/io/shape_limits.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <ranges>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

namespace detail {

/// What the families of LLaMA's kind have in common and where they differ, as their configurations say it.
struct llama_relative {
  std::string_view type, architecture;  ///< "model_type", and the one of "architectures"
  std::size_t kv_heads = 0;             ///< where the file is silent; 0: as many as heads
  std::size_t head_size = 0;            ///< where the file is silent; 0: hidden size / heads
  bool query_key_value_biases = false;  ///< always there
  model_family family = model_family::llama;
};
inline constexpr std::array<llama_relative, 4> llama_relatives{{
    {"llama", "LlamaForCausalLM"},
    {"mistral", "MistralForCausalLM", 8},
    {"qwen2", "Qwen2ForCausalLM", 32, 0, true},
    {"qwen3", "Qwen3ForCausalLM", 32, 128, false, model_family::qwen3},
}};
[[nodiscard]] constexpr const llama_relative* find_llama_relative(std::string_view type) noexcept {
  for (const llama_relative& relative : llama_relatives)
    if (relative.type == type) return &relative;
  return nullptr;
}

inline constexpr std::array<plain_setting, 3> plain_llama_settings{{
    {"hidden_act", "\"silu\""},
    {"quantization_config", "null"},
    {"partial_rotary_factor", "1.0"},
}};

/// Positions within which every token sees all before it: attention that slides over a window is the same as far as
/// the window reaches, and longer sequences are refused.
inline std::size_t full_attention(const json& config, const llama_relative& relative, std::size_t positions,
                                  std::string_view source) {
  const auto window = get_if<std::size_t>(config, "sliding_window", source);
  const bool optional = relative.type != "mistral";  // whose window holds wherever it is named
  const bool slides = get_if<bool>(config, "use_sliding_window", source).value_or(!optional);
  return window && slides ? std::min(positions, *window) : positions;
}

}  // namespace detail

/// The shape of a LLaMA, Mistral, Qwen2 or Qwen3 model (and so of SmolLM and others of these types) from the content
/// of its Hugging Face `config.json`. Absent members get the defaults of Hugging Face's configuration of the type
/// (as many key/value heads as heads, head_dim = hidden / heads, rms_norm_eps 1e-6, rope_theta 10000, untied head);
/// sizes have none. Where attention slides over a window, the model has as many positions as the window. Throws
/// io_error, with the member and its value, on another architecture, on settings that are not supported and on sizes
/// that make no model.
[[nodiscard]] inline model_shape parse_llama_config(const json& config, std::string_view source) {
  const auto type = get<std::string>(config, "model_type", source);
  const detail::llama_relative* const relative = detail::find_llama_relative(type);
  const auto types = detail::llama_relatives | std::views::transform(&detail::llama_relative::type);
  require<io_error>(relative != nullptr, "{}: \"model_type\" is \"{}\", but only \"{}\" are supported", source,
                    detail::excerpt(type), fmt::join(types, "\", \""));
  detail::require_model_type(config, relative->type, relative->architecture, source);
  detail::require_plain(config, detail::plain_llama_settings, source);
  const auto size = [&](std::string_view key) { return get<std::size_t>(config, key, source); };
  const auto optional_size = [&](std::string_view key) { return get_if<std::size_t>(config, key, source); };
  const auto flag = [&](std::string_view key) { return get_if<bool>(config, key, source).value_or(false); };

  model_shape shape;
  shape.kind.family = relative->family;
  shape.hidden = size("hidden_size");
  shape.intermediate = size("intermediate_size");
  shape.layers = size("num_hidden_layers");
  shape.heads = size("num_attention_heads");
  shape.vocabulary = size("vocab_size");
  const std::size_t positions = size("max_position_embeddings");
  shape.positions = detail::full_attention(config, *relative, positions, source);
  shape.kv_heads =
      optional_size("num_key_value_heads").value_or(relative->kv_heads != 0 ? relative->kv_heads : shape.heads);
  const auto head_size = optional_size("head_dim");
  shape.head_size = head_size                  ? *head_size
                    : relative->head_size != 0 ? relative->head_size
                                               : detail::head_size_of(shape.hidden, shape.heads, source);
  shape.norm_epsilon = get_if<float>(config, "rms_norm_eps", source).value_or(1e-6f);
  const rope_settings rope = parse_rope_settings(config, positions, source);
  shape.rope_theta = rope.theta;
  shape.rope_scaling = rope.scaling;
  shape.rope = rope_pairing::half_split;
  shape.tied_head = flag("tie_word_embeddings");
  shape.biases.attention_output = flag("attention_bias");
  shape.biases.query_key_value = relative->query_key_value_biases || shape.biases.attention_output;
  shape.biases.mlp = flag("mlp_bias");
  require_plausible(shape, source);
  return shape;
}

/// Reads a Hugging Face `config.json`; throws as `read_json` and `parse_llama_config` do.
[[nodiscard]] inline model_shape read_llama_config(const std::filesystem::path& path) {
  return parse_llama_config(read_json(path), path.native());
}

}  // namespace zoqat::io

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zoqat/core/error.hpp>
#include <zoqat/core/model_shape.hpp>
#include <zoqat/io/config_settings.hpp>
#include <zoqat/io/json.hpp>
#include <zoqat/io/shape_limits.hpp>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace zoqat::inline ZOQAT_ABI::io {

namespace detail {

inline constexpr std::array<plain_setting, 5> plain_llama_settings{{
    {"hidden_act", "\"silu\""},
    {"attention_bias", "false"},
    {"mlp_bias", "false"},
    {"rope_scaling", "null"},
    {"quantization_config", "null"},
}};

// Newer files keep theta in an object of its own, beside the kind of scaling.
inline float rope_theta(const json& config, std::string_view source) {
  constexpr float usual = 1e4f;
  const auto parameters = config.find("rope_parameters");
  if (parameters == config.end() || parameters->is_null())
    return get_if<float>(config, "rope_theta", source).value_or(usual);
  const auto type = get_if<std::string>(*parameters, "rope_type", source).value_or("default");
  require<io_error>(type == "default", "{}: \"rope_type\" is \"{}\", but only \"default\" is supported", source,
                    excerpt(type));
  return get_if<float>(*parameters, "rope_theta", source).value_or(usual);
}

}  // namespace detail

/// The shape of a LLaMA model from the content of its Hugging Face `config.json`. Absent members get the
/// defaults of Hugging Face's LlamaConfig (as many key/value heads as heads, head_dim = hidden / heads,
/// rms_norm_eps 1e-6, rope_theta 10000, untied head); sizes have none. Throws io_error, with the member and
/// its value, on another architecture, on settings that are not supported and on sizes that make no model.
[[nodiscard]] inline model_shape parse_llama_config(const json& config, std::string_view source) {
  detail::require_model_type(config, "llama", "LlamaForCausalLM", source);
  detail::require_plain(config, detail::plain_llama_settings, source);
  const auto size = [&](std::string_view key) { return get<std::size_t>(config, key, source); };
  const auto optional_size = [&](std::string_view key) { return get_if<std::size_t>(config, key, source); };

  model_shape shape;
  shape.hidden = size("hidden_size");
  shape.intermediate = size("intermediate_size");
  shape.layers = size("num_hidden_layers");
  shape.heads = size("num_attention_heads");
  shape.vocabulary = size("vocab_size");
  shape.positions = size("max_position_embeddings");
  shape.kv_heads = optional_size("num_key_value_heads").value_or(shape.heads);
  const auto head_size = optional_size("head_dim");
  shape.head_size = head_size ? *head_size : detail::head_size_of(shape.hidden, shape.heads, source);
  shape.norm_epsilon = get_if<float>(config, "rms_norm_eps", source).value_or(1e-6f);
  shape.rope_theta = detail::rope_theta(config, source);
  shape.rope = rope_pairing::half_split;
  shape.tied_head = get_if<bool>(config, "tie_word_embeddings", source).value_or(false);
  require_plausible(shape, source);
  return shape;
}

/// Reads a Hugging Face `config.json`; throws as `read_json` and `parse_llama_config` do.
[[nodiscard]] inline model_shape read_llama_config(const std::filesystem::path& path) {
  return parse_llama_config(read_json(path), path.native());
}

}  // namespace zoqat::io
